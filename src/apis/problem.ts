import type { ObjectKey, Origin } from './object.ts';

/** Condition words that a problem may carry; documented in docs/problems.md. */
export type ProblemReason =
  | 'Invalid'
  | 'UnknownField'
  | 'NotTranslated'
  | 'RefNotFound'
  | 'Conflict'
  | 'Unsupported'
  | 'Refused'
  | 'Unreachable'
  | 'UnknownRevision'
  | 'Held';

/** Something wrong with an object. Bad configuration is data: it is collected and shown, never thrown. */
export interface Problem {
  readonly object: ObjectKey;
  /** Path inside the object, `spec.http[0].match[1].uri`; empty for the object as a whole. */
  readonly path: string;
  readonly reason: ProblemReason;
  /** `error`: the object or this part of it has no effect; `warning`: it has, but probably not the intended one. */
  readonly severity: 'error' | 'warning';
  /** For a human: what is wrong and what to do. */
  readonly message: string;
  /** For readers of the object, where `message` quotes a proxy or names others' objects: see disclosure.ts. */
  readonly toReaders?: string;
  readonly origin?: Origin;
}
