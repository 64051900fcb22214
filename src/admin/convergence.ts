/** `/debug/convergence`: how far the last change of an object has come, on this replica and on the others. */
import type { Problem } from '../apis/problem.ts';

export interface LaggingReport {
  /** Node id. */
  readonly proxy: string;
  readonly replica: string;
  /** Short name of the type, `CDS`; empty where the proxy has yet to get another list of parts. */
  readonly type: string;
  /** RFC 3339. */
  readonly since: string;
  readonly state: 'pending' | 'rejected';
  readonly error?: string;
}

export interface ObjectReport {
  /** `Kind/namespace/name`. */
  readonly object: string;
  /** It was read and was not deleted since. */
  readonly exists: boolean;
  /** It is in force, or something is said of it: not so for an object that another control plane is meant to read. */
  readonly read: boolean;
  /** As it was last seen, also where that version was refused. */
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** File and line, in a folder. */
  readonly origin?: string;
  /** Something that proxies get is made from it. */
  readonly translated: boolean;
  /** Its last change is yet to be translated. */
  readonly pending: boolean;
  /** Proxies that should have it, and those of them that do. */
  readonly proxies: { readonly total: number; readonly acked: number };
  /** At most 20 of those that do not, those that refuse it first. */
  readonly lagging: readonly LaggingReport[];
  /** What is wrong with it. */
  readonly problems: readonly Pick<Problem, 'path' | 'reason' | 'severity' | 'message' | 'toReaders'>[];
  /** Replicas that have not seen the version of this one. */
  readonly behind: readonly string[];
  /** All that should have it have it, on all replicas. */
  readonly converged: boolean;
}

export interface ConvergenceAnswer {
  readonly replica: string;
  /** Replicas that did not answer: nothing has converged for sure. */
  readonly unanswered: readonly string[];
  readonly objects: readonly ObjectReport[];
}

export interface ConvergencePage {
  /** `local`: of this replica alone. */
  answer(objects: readonly string[], local: boolean): Promise<ConvergenceAnswer>;
  /** Objects that proxies of this replica refuse now. */
  refused(): readonly string[];
  /** Whether a caller at this address is another replica. */
  isPeer(address: string): boolean;
}

export const maxObjectsAsked = 50;

/** Objects that can be asked for: not those of a remote cluster (`Service/shop/reviews@east`), nor what stands for a whole collection (`Pod//`). */
export function isAskable(object: string): boolean {
  return /^[A-Za-z]{1,63}\/[-a-z0-9]{0,63}\/[-.a-z0-9]{1,253}$/.test(object);
}

/** What was asked for, or what is wrong with the question. */
export function askedObjects(query: URLSearchParams): readonly string[] | { readonly error: string } {
  const objects = query.getAll('object');
  if (objects.length === 0) return { error: 'say which object: ?object=Kind/namespace/name, more than one if need be' };
  if (objects.length > maxObjectsAsked)
    return { error: `${objects.length} objects are too many, ask for at most ${maxObjectsAsked} at once` };
  const wrong = objects.find((object) => !isAskable(object));
  return wrong === undefined
    ? objects
    : { error: `"${wrong.slice(0, 400)}" is not Kind/namespace/name, such as VirtualService/shop/reviews` };
}
