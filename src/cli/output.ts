/** `-o table|json|yaml`, the same in every command. */
import { Option } from 'commander';
import { stringify } from 'yaml';

export type OutputFormat = 'table' | 'json' | 'yaml';

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'yaml']).default('table');
}

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string;
}

/** Rows as a table, or `data` (by default the rows) as JSON or YAML; ends with a line feed. */
export function render<T>(format: OutputFormat, rows: readonly T[], columns: readonly Column<T>[], data: unknown = rows): string {
  if (format === 'json') return `${JSON.stringify(data, null, 2)}\n`;
  if (format === 'yaml') return stringify(data, { lineWidth: 0, aliasDuplicateObjects: false });
  return table(rows, columns);
}

/** Columns as wide as their widest cell, two spaces apart; an empty cell is `-`, so that columns can be cut by position or by field. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const cells = [columns.map((c) => c.title), ...rows.map((row) => columns.map((c) => c.value(row) || '-'))];
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => (line[i] ?? '').length)));
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
