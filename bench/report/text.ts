/** Figures and columns of tables. */

export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

export function milliseconds(value: number): string {
  if (Math.abs(value) >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${Math.abs(value) < 1 ? value.toFixed(2) : Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function megabytes(value: number): string {
  return `${Math.round(value)} MB`;
}

export function sizeOf(bytes: number): string {
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
  return `${(bytes / 1e3).toFixed(1)} kB`;
}

/** How many times `value` is `base`; `-` where that says nothing. */
export function ratio(value: number | undefined, base: number | undefined): string {
  if (value === undefined || base === undefined || value < 0 || !(base > 0)) return '-';
  const times = value / base;
  // What a hundredth would hide is what such a table is for.
  return `${times > 0 && times < 0.1 ? times.toPrecision(2) : times.toFixed(2)}x`;
}
