import type { ObjectKey } from '../../apis/object.ts';
import type { Trace } from '../../store/trace.ts';
import type { Subscription } from '../../xds/source.ts';
import type { PartChange } from '../part.ts';

/** One translation, told before the streams hear of it. */
export interface Flush {
  readonly beganAtMs: number;
  /** When its result became visible. */
  readonly atMs: number;
  /** Of work, without the turns of others in between. */
  readonly ms: number;
  /** Objects that had changed; none where only proxies came or certificates were renewed. */
  readonly objects: ReadonlySet<ObjectKey>;
  /** Of parts that proxies had before, and of those that they got in place of others. */
  readonly changes: readonly PartChange[];
  /** Proxies whose list of parts has changed. */
  readonly replanned: readonly Subscription[];
  /** Which of the objects led to what; absent where there is but one. */
  readonly trace: Trace | undefined;
}

/** What changes of one object cost. Where several objects have changed in one flush, all but `changes` is estimated. */
export interface Cost {
  changes: number;
  /** Of the flushes that it took part in, each divided by the objects of that flush. */
  translationMs: number;
  /** Changed, added or removed: in each part that has them. */
  resources: number;
  /** Of the changed resources, once for each part. */
  bytesEncoded: number;
  /** Of the responses that carried the changes, by the share of what else they carried. */
  bytesSent: number;
  /** That one change was sent to, at most. */
  proxies: number;
  /** From the start of a translation to the last acceptance of what it led to, at most; undefined before the first. */
  ackMs?: number;
  /** Responses refused that carried a change. */
  refusals: number;
  /** Milliseconds since 1970. */
  changedAtMs: number;
}

export function noCost(changedAtMs: number): Cost {
  return { changes: 0, translationMs: 0, resources: 0, bytesEncoded: 0, bytesSent: 0, proxies: 0, refusals: 0, changedAtMs };
}

export function addCost(to: Cost, cost: Cost): void {
  to.changes += cost.changes;
  to.translationMs += cost.translationMs;
  to.resources += cost.resources;
  to.bytesEncoded += cost.bytesEncoded;
  to.bytesSent += cost.bytesSent;
  to.proxies = Math.max(to.proxies, cost.proxies);
  to.refusals += cost.refusals;
  to.changedAtMs = Math.max(to.changedAtMs, cost.changedAtMs);
  if (cost.ackMs !== undefined) to.ackMs = Math.max(to.ackMs ?? 0, cost.ackMs);
}
