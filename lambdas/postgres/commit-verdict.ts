/** What became of one result in a commit. */
export type CommitVerdict =
  | 'applied'
  /** The row holds another grant, belongs to a later claim, or its user took it out: the result is void. */
  | 'superseded'
  | 'gone'
  /** Somebody else is changing the row right now: try again. */
  | 'locked';

/**
 * The verdict on each result of a group: `applied` is the alias of the rows that the statement changed, `t` of those that it
 * has locked, `i` of those that there are.
 */
export function verdictOf(applied: string): string {
  return `CASE WHEN ${applied}.id IS NOT NULL THEN 'applied'
            WHEN t.id IS NOT NULL THEN 'superseded'
            WHEN i.id IS NULL THEN 'gone'
            ELSE 'locked' END`;
}
