/** How far the last change of an object has come: which proxies should have it, which have accepted it, and which lag. */
import type { ObjectKey } from '../apis/object.ts';
import { shortName } from '../wire/types.ts';
import type { Standing, TableChange, TrackedStream } from '../xds/source.ts';
import type { Effect, EffectChange } from './ledger.ts';
import type { Snapshot } from './snapshot.ts';

export interface LaggingProxy {
  /** Node id. */
  readonly proxy: string;
  readonly connectionId: string;
  /** Short name of the type, `CDS`; empty where the proxy has yet to get another list of parts. */
  readonly type: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  readonly state: 'pending' | 'rejected';
  /** Envoy's text. */
  readonly error?: string;
}

export interface ProxyCounts {
  readonly total: number;
  readonly acked: number;
}

export interface ObjectProgress {
  /** Something that proxies get is made from the object now. */
  readonly translated: boolean;
  /** Its last change is yet to be translated. */
  readonly pending: boolean;
  /** Proxies that should have it. */
  readonly proxies: ProxyCounts;
  /** Those that have not accepted it: at most as many as were asked for, those that refuse it first. */
  readonly lagging: readonly LaggingProxy[];
}

export interface ConvergenceOptions {
  readonly snapshot: Pick<Snapshot, 'ledger' | 'madeFrom' | 'isPending' | 'objects'>;
  /** Those that are connected. */
  readonly streams: () => Iterable<TrackedStream>;
}

/** Kinds that decide what a proxy gets beside what they are made into: what changed with one may be its doing without being made from it. */
const choosing: ReadonlySet<string> = new Set(['Sidecar', 'Gateway', 'VirtualService', 'ConfigMap']);
/** Kinds that decide which parts a proxy has. */
const planning: ReadonlySet<string> = new Set([
  'Sidecar',
  'ConfigMap',
  'Pod',
  'Node',
  'WorkloadEntry',
  'Service',
  'VirtualService',
  'DestinationRule',
]);

interface Relevant {
  readonly effect: Effect;
  readonly changes: readonly TableChange[];
  readonly replans: boolean;
}

interface Finding {
  readonly standing: Standing;
  readonly type: string;
  readonly sinceMs: number;
  readonly error?: string | undefined;
}

export class Convergence {
  private readonly options: ConvergenceOptions;

  constructor(options: ConvergenceOptions) {
    this.options = options;
  }

  /** The snapshot must be settled. The cost is that of what is made from the object, times the proxies. */
  of(object: ObjectKey, maxLagging = 20): ObjectProgress {
    const { snapshot, streams } = this.options;
    const present = snapshot.madeFrom.tables(object);
    const recent = snapshot.ledger.of(object).map((effect) => this.relevant(object, effect));
    const unsettled = new Set<Effect>();
    const lagging: LaggingProxy[] = [];
    let total = 0;
    let acked = 0;
    for (const stream of streams()) {
      const finding = find(stream, present, recent, unsettled);
      if (finding.standing === 'unconcerned') continue;
      total++;
      if (finding.standing === 'has') acked++;
      else lagging.push(laggingProxy(stream, finding, finding.standing));
    }
    const exists = snapshot.objects.object(object) !== undefined;
    if (exists) for (const { effect } of recent) if (!unsettled.has(effect)) snapshot.ledger.settled(object, effect);
    lagging.sort((a, b) => rank(a) - rank(b) || (a.proxy < b.proxy ? -1 : a.proxy > b.proxy ? 1 : 0));
    return {
      translated: present.length > 0,
      pending: snapshot.isPending(object),
      proxies: { total, acked },
      lagging: lagging.slice(0, maxLagging),
    };
  }

  /** Of several objects the one that changed last; undefined when none has for a while. */
  changedLast(objects: readonly ObjectKey[]): ObjectKey | undefined {
    let found: ObjectKey | undefined;
    let generation = -1;
    for (const object of objects) {
      const last = this.options.snapshot.ledger.of(object).at(-1);
      if (last === undefined || last.generation <= generation) continue;
      found = object;
      generation = last.generation;
    }
    return found;
  }

  private relevant(object: ObjectKey, effect: Effect): Relevant {
    const alone = effect.objects.size === 1;
    const kind = object.slice(0, object.indexOf('/'));
    const changes = alone || choosing.has(kind) ? effect.changes : effect.changes.flatMap(withoutOwner);
    return { effect, changes, replans: alone || planning.has(kind) };
  }
}

/** What is made from one of the objects is found with that one. */
function withoutOwner(change: EffectChange): TableChange[] {
  return change.ownerless.size === 0 ? [] : [{ ...change, names: change.ownerless }];
}

/** The worst standing of a proxy to all that the object has led to. Adds to `unsettled` the effects that it does not have. */
function find(stream: TrackedStream, present: readonly TableChange[], recent: readonly Relevant[], unsettled: Set<Effect>): Finding {
  let worst: Finding = { standing: 'unconcerned', type: '', sinceMs: 0 };
  const add = (standing: Standing, type: string, sinceMs: number): void => {
    if (rankOf[standing] > rankOf[worst.standing]) worst = { standing, type, sinceMs, error: stream.types.get(type)?.lastError };
  };
  for (const change of present) {
    const standing = stream.standing(change);
    if (standing !== 'unconcerned') add(standing, change.type, stream.types.get(change.type)?.sentAtMs || stream.connectedAtMs);
  }
  for (const { effect, changes, replans } of recent) {
    const came = stream.connectedAtMs > effect.atMs;
    let has = true;
    const effectOn = (standing: Standing, type: string): void => {
      if (standing === 'pending' || standing === 'rejected') has = false;
      // Who came later and has everything was never concerned.
      if (!came || standing !== 'has') add(standing, type, effect.atMs);
    };
    for (const change of changes) effectOn(stream.standing(change), change.type);
    // Another list of parts may have come before the change was accepted in the old one.
    const moved = !came && changes.some(({ part }) => !stream.subscription.parts.includes(part)) && stream.standingInPlan() !== 'has';
    if (moved || (replans && effect.replanned.has(stream.subscription))) effectOn(stream.standingInPlan(), '');
    if (!has) unsettled.add(effect);
  }
  return worst;
}

const rankOf: Readonly<Record<Standing, number>> = { unconcerned: 0, has: 1, pending: 2, rejected: 3 };

function laggingProxy(stream: TrackedStream, { type, sinceMs, error }: Finding, state: LaggingProxy['state']): LaggingProxy {
  const { node, connectionId } = stream.subscription;
  return {
    proxy: node.id,
    connectionId,
    type: type === '' ? '' : shortName(type),
    sinceMs,
    state,
    ...(error === undefined || state !== 'rejected' ? {} : { error: error.slice(0, maxErrorLength) }),
  };
}

/** Envoy quotes whole messages in its refusals. */
const maxErrorLength = 1000;

function rank({ state }: LaggingProxy): number {
  return state === 'rejected' ? 0 : 1;
}
