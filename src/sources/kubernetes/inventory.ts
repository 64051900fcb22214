/** What was read and not yet delivered, and what is held: one object per key, with what is wrong with it. */
import { keyOf, objectKey, type ConfigObject, type ObjectKey } from '../../apis/object.ts';
import { parseObject } from '../../apis/parse.ts';
import type { Problem } from '../../apis/problem.ts';
import { inForceUndecided } from '../../apis/undecided.ts';
import type { ObjectChange } from '../source.ts';
import { ObservedVersions } from './observed.ts';
import { revisionLabel } from './revision.ts';
import { tagsResource, type Stream } from './streams.ts';

interface Entry {
  /** The last good version, or what stands in for it. */
  object: ConfigObject | undefined;
  problems: readonly Problem[];
  /** Where it was read: a Secret that changes its type goes from one collection to another, in any order. */
  stream: Stream;
}

export class Inventory {
  private readonly cluster: string | undefined;
  private readonly entries = new Map<ObjectKey, Entry>();
  private readonly changed = new Set<ObjectKey>();
  /** Objects whose problems differ from the delivered ones, maybe. */
  private readonly doubted = new Set<ObjectKey>();
  /** What the sink has. */
  private readonly delivered = new Set<ObjectKey>();
  readonly observed = new ObservedVersions();

  constructor(cluster: string | undefined) {
    this.cluster = cluster;
  }

  /** `undecidedTag`: see ConfigObject; what does not protect is not in force then. */
  put(stream: Stream, apiVersion: string, raw: Record<string, unknown>, undecidedTag?: string): ConfigObject | undefined {
    if (this.cluster === undefined) this.observed.put(stream.kind, apiVersion, raw);
    const parsed = parseObject({ apiVersion, kind: stream.kind.kind, ...raw }, this.cluster === undefined ? {} : { cluster: this.cluster });
    const { key } = parsed;
    const before = this.entries.get(key);
    // A refused version leaves the last good one in force.
    const read = parsed.object ?? decided(before?.object) ?? parsed.standIn;
    const object = read === undefined || undecidedTag === undefined ? read : inForceUndecided(read, undecidedTag);
    const problems =
      undecidedTag === undefined
        ? parsed.problems
        : [undecidedProblem(key, undecidedTag, object !== undefined), ...(object === undefined ? [] : parsed.problems)];
    const same = before?.object !== undefined && object !== undefined && sameContent(object, before.object);
    this.entries.set(key, { object: same ? before.object : object, problems, stream });
    if (problems.length > 0 || (before?.problems.length ?? 0) > 0) this.doubted.add(key);
    if (!same && object !== before?.object) this.changed.add(key);
    return object;
  }

  /** The object that is gone, if it was this stream's. */
  delete(stream: Stream, namespace: string, name: string): ConfigObject | undefined {
    const key = objectKey(stream.kind.kind, namespace, name, this.cluster);
    const entry = this.entries.get(key);
    if (entry === undefined || entry.stream !== stream) return undefined;
    this.observed.delete(key);
    this.entries.delete(key);
    if (entry.problems.length > 0) this.doubted.add(key);
    this.changed.add(key);
    return entry.object;
  }

  get dirty(): boolean {
    return this.doubted.size > 0 || this.changed.size > 0;
  }

  get size(): number {
    return this.entries.size;
  }

  /** Everything since the last change. */
  takeChange(): ObjectChange {
    const upserts: ConfigObject[] = [];
    const deletes: ObjectKey[] = [];
    for (const key of this.changed) {
      const object = this.entries.get(key)?.object;
      if (object !== undefined) {
        upserts.push(object);
        this.delivered.add(keyOf(object));
      } else if (this.delivered.delete(key)) deletes.push(key);
    }
    this.changed.clear();
    const problems = new Map([...this.doubted].map((key) => [`object ${key}`, this.entries.get(key)?.problems ?? []]));
    this.doubted.clear();
    return { upserts, deletes, problems };
  }
}

function decided(object: ConfigObject | undefined): ConfigObject | undefined {
  if (object?.undecidedTag === undefined) return object;
  const { undecidedTag: _, ...rest } = object;
  return rest;
}

function undecidedProblem(object: ObjectKey, tag: string, inForce: boolean): Problem {
  const consequence = inForce ? 'it is in force as far as it refuses' : 'it has no effect';
  return {
    object,
    path: `metadata.labels["${revisionLabel}"]`,
    reason: 'UnknownRevision',
    severity: inForce ? 'warning' : 'error',
    message:
      `cannot tell if ${JSON.stringify(tag)} is a tag of this revision: ${tagsResource.plural} cannot be read; until then ${consequence}; ` +
      `grant get, list and watch on ${tagsResource.plural}.${tagsResource.group}`,
  };
}

/** The same but for its version: pods and nodes change their status often, and what is kept of them seldom. */
export function sameContent(a: ConfigObject, b: ConfigObject): boolean {
  return content(a) === content(b);
}

function content({ origin: _origin, ...rest }: ConfigObject): string {
  return JSON.stringify(rest);
}
