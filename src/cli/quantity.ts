/** Numbers of the command line. */

/** A whole number above 0. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < 1 || !Number.isSafeInteger(value)) throw new Error(`"${text}" is not a whole number above 0`);
  return value;
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Bytes, written as Kubernetes writes memory: `1073741824`, `1Gi`, `1.5Gi`, `500M`. */
export function parseBytes(text: string): number {
  const [, number = '', unit = ''] = /^([0-9]+(?:\.[0-9]+)?)([kMGT]|[KMGT]i)?$/.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (units[unit] ?? NaN));
  if (number === '' || bytes < 1) throw new Error(`"${text}" is not an amount of memory such as 2Gi or 500M`);
  return bytes;
}
