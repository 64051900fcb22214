/** What the leader's status controller is told of objects: collected from this replica's parts and streams, and from the other replicas. */
import { isAskable, type ConvergencePage } from '../admin/convergence.ts';
import type { Log } from '../admin/log.ts';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Replicas } from '../controllers/replicas.ts';
import { StatusController } from '../controllers/status/controller.ts';
import type { FactSource, ObjectFacts } from '../controllers/status/facts.ts';
import { StatusWriter } from '../controllers/status/writer.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { fingerprint } from '../lib/fingerprint.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { ObservedObjects } from '../sources/source.ts';
import type { StreamObserver } from '../xds/source.ts';
import type { ClusterAccess } from './origin.ts';
import { refusedAtPeer } from './peers.ts';

export interface StatusOptions {
  readonly cluster: ClusterAccess;
  readonly observed: ObservedObjects;
  readonly snapshot: Pick<Snapshot, 'onObjects'>;
  readonly convergence: Pick<ConvergencePage, 'answer'>;
  /** Of all objects, for when it begins to lead; later ones come with `changes`. */
  readonly problems: () => readonly Problem[];
  /** Of the certificate authority, which are few and come at any time. */
  readonly caProblems: () => readonly Problem[];
  readonly changes: ChangeSignals;
  readonly replicas: Replicas;
  readonly log: Log;
}

/** Problems of the certificate authority are compared at most so often. */
const compareMs = 1_000;
/** What proxies of other replicas refuse is asked for so often. */
const peersMs = 10_000;

export function statusController(options: StatusOptions): StatusController {
  const { cluster, observed, replicas } = options;
  const log = options.log.scope('controllers');
  return new StatusController({
    clock: systemClock,
    source: new ReplicaFacts(options),
    seen: observed,
    writer: new StatusWriter({ api: cluster.api, wallClock: Date.now, instance: replicas.self }),
    onFault: (object, error) => log.warn({ object, err: error }, 'its status could not be written; it is tried again'),
  });
}

/** What happens on the streams and to problems that may change an object's status. */
export class ChangeSignals implements StreamObserver {
  readonly #handlers = new Set<(objects: Iterable<ObjectKey> | 'all') => void>();

  listen(handler: (objects: Iterable<ObjectKey> | 'all') => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  tell(objects: Iterable<ObjectKey> | 'all'): void {
    for (const handler of this.#handlers) handler(objects);
  }

  connected(): void {
    this.tell('all');
  }

  disconnected(): void {
    this.tell('all');
  }

  refused(): void {}
  sent(): void {}
  acked(): void {}
  rejected(): void {}
}

class ReplicaFacts implements FactSource {
  readonly #options: StatusOptions;

  constructor(options: StatusOptions) {
    this.#options = options;
  }

  async facts(objects: readonly ObjectKey[]): Promise<ReadonlyMap<ObjectKey, ObjectFacts>> {
    const { objects: reports, unanswered } = await this.#options.convergence.answer(objects, false);
    // Nothing is known for sure until all have answered, or one that is gone is no longer counted: seconds.
    const known = reports.filter(({ read, problems }) => unanswered.length === 0 || !read || problems.length > 0);
    return new Map(known.map((report): [ObjectKey, ObjectFacts] => [report.object as ObjectKey, { ...report, exists: report.read }]));
  }

  listen(told: (objects: Iterable<ObjectKey> | 'all') => void): () => void {
    const { observed, snapshot, changes, replicas } = this.#options;
    // A collection that cannot be read, or an object of a remote cluster, has no status here.
    const handler = (objects: Iterable<ObjectKey> | 'all'): void => told(objects === 'all' ? objects : [...objects].filter(isAskable));
    const differences = new ProblemDifferences(this.#options.caProblems);
    let comparing: NodeJS.Timeout | undefined;
    const compareSoon = (): void => {
      comparing ??= setTimeout(() => {
        comparing = undefined;
        handler(differences.take());
      }, compareMs);
    };
    let streams = streamsOf(replicas);
    const peers = setInterval(() => void refusedAtPeers(replicas).then(handler), peersMs);
    const endings = [
      snapshot.onObjects((objects) => {
        handler([...objects].filter((object) => observed.get(object) !== undefined));
        compareSoon();
      }),
      observed.listen((object, changed) => {
        if (changed) handler([object]);
        compareSoon();
      }),
      changes.listen((objects) => {
        handler(objects);
        compareSoon();
      }),
      replicas.onChange(() => {
        const now = streamsOf(replicas);
        if (now !== streams) handler('all');
        streams = now;
      }),
      () => clearTimeout(comparing),
      () => clearInterval(peers),
    ];
    compareSoon();
    handler(new Set(this.#options.problems().map(({ object }) => object)));
    return () => endings.forEach((end) => end());
  }
}

function streamsOf(replicas: Replicas): number {
  return replicas.list().reduce((sum, { live, streams }) => sum + (live ? streams : 0), 0);
}

async function refusedAtPeers(replicas: Replicas): Promise<ObjectKey[]> {
  const peers = replicas.list().filter(({ name, live }) => live && name !== replicas.self);
  const refused = await Promise.all(peers.map(({ monitoringAddress }) => refusedAtPeer(monitoringAddress)));
  return [...new Set(refused.flat())] as ObjectKey[];
}

/** Objects whose problems are others than the last time. */
class ProblemDifferences {
  readonly #problems: () => readonly Problem[];
  #known = new Map<ObjectKey, string>();

  constructor(problems: () => readonly Problem[]) {
    this.#problems = problems;
  }

  take(): ObjectKey[] {
    const now = new Map<ObjectKey, string>();
    for (const { object, path, reason, message } of this.#problems()) {
      now.set(object, fingerprint(`${now.get(object) ?? ''} ${path} ${reason} ${message}`));
    }
    const changed = [...now.keys()].filter((object) => this.#known.get(object) !== now.get(object));
    for (const object of this.#known.keys()) if (!now.has(object)) changed.push(object);
    this.#known = now;
    return changed;
  }
}
