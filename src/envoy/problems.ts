import type { Problem } from '../apis/problem.ts';

/** What a translator returns: messages, and what it could not translate. */
export interface Translated<T> {
  readonly resources: readonly T[];
  readonly problems: readonly Problem[];
}
