/** A small generator of numbers that a seed repeats (xorshift). */
export type Random = (below: number) => number;

export function randomOf(seed: number): Random {
  let state = seed * 2654435761 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One of a list that is not empty. */
export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random(items.length)] as T;
}

export function some<T>(random: Random, items: readonly T[]): T[] {
  return items.filter(() => random(2) === 0);
}
