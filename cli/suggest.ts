/** ` Did you mean x?` for a word that is nearly one of those known; empty when none is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.distance - b.distance);
  const completed = known.filter((candidate) => word.length > 1 && candidate.startsWith(word));
  const found = nearest?.candidate ?? (completed.length === 1 ? completed[0] : undefined);
  return found === undefined ? '' : ` Did you mean ${found}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = previous[column - 1]! + Number(a[row - 1] !== b[column - 1]);
      const swapped =
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
          ? beforePrevious[column - 2]! + 1
          : Number.POSITIVE_INFINITY;
      current.push(Math.min(previous[column]! + 1, current[column - 1]! + 1, replaced, swapped));
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length]!;
}
