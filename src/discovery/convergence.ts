/** Answers how far objects have come: from this replica's streams, and from the other replicas, asked over HTTP. */
import { isAskable, type ConvergenceAnswer, type ConvergencePage, type LaggingReport, type ObjectReport } from '../admin/convergence.ts';
import type { Turns } from '../admin/dump.ts';
import { originText, type ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Replica } from '../controllers/replicas.ts';
import type { Convergence } from '../snapshot/convergence.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import type { ObservedObjects } from '../sources/source.ts';
import { askPeer } from './peers.ts';

export interface ConvergenceDeskOptions {
  readonly convergence: Convergence;
  readonly snapshot: Pick<Snapshot, 'objects' | 'whenSettled'>;
  /** Absent in a folder. */
  readonly observed?: ObservedObjects;
  readonly problemsOf: (object: ObjectKey) => readonly Problem[];
  /** Of what proxies refuse. */
  readonly rejections: () => readonly Problem[];
  readonly self: string;
  readonly replicas: () => readonly Replica[];
  readonly turns: Turns;
}

/** Of one object; a listener that all refuse has as many as there are proxies. */
const maxProblems = 20;
const maxLagging = 20;
/** Between two looks at the sockets. */
const longestTurnMs = 5;

export class ConvergenceDesk implements ConvergencePage {
  readonly #options: ConvergenceDeskOptions;

  constructor(options: ConvergenceDeskOptions) {
    this.#options = options;
  }

  async answer(objects: readonly string[], local: boolean): Promise<ConvergenceAnswer> {
    const own = await this.#own(objects as readonly ObjectKey[]);
    const peers = local ? [] : this.#peers();
    // One that cannot be asked for would be an error of the whole question.
    const askable = objects.filter(isAskable);
    if (peers.length === 0 || askable.length === 0) return own;
    const answers = await Promise.all(peers.map(async (peer) => ({ peer, answer: await askPeer(peer.monitoringAddress, askable) })));
    const unanswered = answers.filter(({ answer }) => answer === undefined).map(({ peer }) => peer.name);
    const given = answers.flatMap(({ answer }) => (answer === undefined ? [] : [answer]));
    return {
      replica: own.replica,
      unanswered,
      objects: own.objects.map((report) => merged(report, isAskable(report.object) ? given : [], unanswered.length === 0)),
    };
  }

  refused(): readonly string[] {
    return [...new Set(this.#options.rejections().map(({ object }) => object as string))].slice(0, 1000);
  }

  isPeer(address: string): boolean {
    const bare = address.replace(/^::ffff:/, '');
    return this.#peers().some(({ monitoringAddress }) => hostOf(monitoringAddress) === bare);
  }

  /** Others that serve proxies. One that is not ready has none. */
  #peers(): Replica[] {
    return this.#options
      .replicas()
      .filter(({ name, live, ready, streams }) => name !== this.#options.self && live && (ready || streams > 0));
  }

  /** While a change is being translated nothing can be said of any. Each object costs a look at every stream: milliseconds, and a batch has fifty. */
  async #own(objects: readonly ObjectKey[]): Promise<ConvergenceAnswer> {
    const { self, snapshot, problemsOf, turns } = this.#options;
    const reports: ObjectReport[] = [];
    let next = 0;
    const reportSome = (): void => {
      const end = turns.now() + longestTurnMs;
      do {
        const object = objects[next++];
        if (object !== undefined) reports.push(this.#report(object, problemsOf(object)));
      } while (next < objects.length && turns.now() < end);
    };
    for (;;) {
      // In the same breath as it is settled: another change may begin before a promise goes on.
      await new Promise<void>((resolve, reject) => {
        snapshot.whenSettled(() => {
          try {
            reportSome();
            resolve();
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      if (next >= objects.length) return { replica: self, unanswered: [], objects: reports };
      await turns.pause();
    }
  }

  #report(object: ObjectKey, problems: readonly Problem[]): ObjectReport {
    const { convergence, snapshot, observed, self } = this.#options;
    const { translated, pending, proxies, lagging } = convergence.of(object, maxLagging);
    const seen = observed?.get(object);
    const read = snapshot.objects.object(object);
    const resourceVersion = seen?.resourceVersion ?? read?.origin.resourceVersion;
    const generation = seen?.generation ?? read?.generation;
    const origin = read?.origin.file === undefined ? undefined : originText(read.origin);
    return {
      object,
      exists: read !== undefined || seen !== undefined || problems.length > 0,
      read: read !== undefined || problems.length > 0,
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(generation !== undefined && { generation }),
      ...(origin !== undefined && { origin }),
      translated,
      pending,
      proxies,
      lagging: lagging.map(({ proxy, type, sinceMs, state, error }): LaggingReport => ({
        proxy,
        replica: self,
        type,
        since: new Date(sinceMs).toISOString(),
        state,
        ...(error !== undefined && { error }),
      })),
      problems: problems.slice(0, maxProblems).map(({ path, reason, severity, message, toReaders }) => ({
        ...{ path, reason, severity, message },
        ...(toReaders !== undefined && { toReaders }),
      })),
      behind: [],
      converged: !pending && proxies.acked === proxies.total,
    };
  }
}

function merged(own: ObjectReport, answers: readonly ConvergenceAnswer[], complete: boolean): ObjectReport {
  let { total, acked } = own.proxies;
  let { pending, translated } = own;
  const lagging = [...own.lagging];
  const problems = [...own.problems];
  const behind: string[] = [];
  for (const { replica, objects } of answers) {
    const theirs = objects.find(({ object }) => object === own.object);
    if (theirs === undefined || isBehind(theirs, own)) behind.push(replica);
    if (theirs === undefined) continue;
    total += theirs.proxies.total;
    acked += theirs.proxies.acked;
    pending ||= theirs.pending;
    translated ||= theirs.translated;
    lagging.push(...theirs.lagging);
    // What is wrong with the object itself all of them say; what their proxies refuse only they do.
    problems.push(...theirs.problems.filter(({ reason, message }) => reason === 'Refused' && !problems.some((p) => p.message === message)));
  }
  lagging.sort((a, b) => Number(a.state === 'pending') - Number(b.state === 'pending'));
  return {
    ...own,
    translated,
    pending,
    proxies: { total, acked },
    lagging: lagging.slice(0, maxLagging),
    problems: problems.slice(0, maxProblems),
    behind,
    converged: complete && behind.length === 0 && !pending && acked === total,
  };
}

function isBehind(theirs: ObjectReport, own: ObjectReport): boolean {
  if (theirs.exists !== own.exists) return true;
  if (theirs.resourceVersion === undefined || own.resourceVersion === undefined) return false;
  return olderVersion(theirs.resourceVersion, own.resourceVersion);
}

/** Versions of one resource are decimal numbers that grow. */
export function olderVersion(a: string, b: string): boolean {
  return a.length === b.length ? a < b : a.length < b.length;
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
}
