import { stripVTControlCharacters } from 'node:util';

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** Lines of a table whose columns are aligned, the titles first. Cells may be styled. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows].map((cells) =>
    cells.map((cell) => cell.replaceAll('\n', ' ')),
  );
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => widthOf(cells[index] ?? ''))));
  return lines.map((cells) =>
    cells
      .map((cell, index) => {
        const padding = ' '.repeat(widths[index]! - widthOf(cell));
        return columns[index]?.align === 'right' ? padding + cell : cell + padding;
      })
      .join('  ')
      .trimEnd(),
  );
}

function widthOf(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
