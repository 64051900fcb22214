import type { ObjectKey } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';

/** What is known of an object, over all replicas. */
export interface ObjectFacts {
  /** The object was read and is not deleted. */
  readonly exists: boolean;
  readonly generation?: number;
  /** What is wrong with it, refusals of proxies included. */
  readonly problems: readonly Pick<Problem, 'path' | 'reason' | 'severity' | 'message' | 'toReaders'>[];
  readonly proxies: { readonly total: number; readonly acked: number };
  /** Some of the proxies that should have it and do not, those that refuse it first. */
  readonly lagging: readonly { readonly proxy: string; readonly state: 'pending' | 'rejected'; readonly error?: string }[];
  /** Replicas that have not seen its last version. */
  readonly behind: readonly string[];
  /** All have it, and every replica was asked and has seen it. */
  readonly converged: boolean;
}

/** Why an object is looked at: it or its problems have changed, or only how many proxies there are. */
export type Cause = 'changed' | 'counts';

export interface FactSource {
  /** An object that is missing in the answer is asked for again later. */
  facts(objects: readonly ObjectKey[]): Promise<ReadonlyMap<ObjectKey, ObjectFacts>>;
  /** Tells of objects whose facts may differ from now on; `all` when proxies have come or gone. Returns the function that ends it. */
  listen(handler: (objects: Iterable<ObjectKey> | 'all') => void): () => void;
}
