/**
 * What comes next for the certificate authority: a pure decision from the shared state and what is known at the moment. A new root is staged, seen accepted by
 * every proxy, signs, and only when nobody depends on the old one any more is that retired.
 */
import type { X509Certificate } from 'node:crypto';
import { generationOf, type Authority } from './authority.ts';
import { distinctRoots, rootsPem } from './bundle.ts';
import type { CaMaterial } from './material.ts';
import { readCertificates } from './pem.ts';
import type { CaReport, Lagging } from './report.ts';
import type { CaState, CaView, LeafEnd, Origin, Rotation } from './state.ts';

/** A signer as it lies in its Secret, readable and valid. */
export interface Given {
  readonly origin: Origin;
  readonly material: CaMaterial;
  readonly authority: Authority;
}

export interface CaRequest {
  /** Another one for each request: what was handled is not handled again. */
  readonly id: string;
  readonly action: 'rotate' | 'abort';
}

export interface ReplicaFacts {
  readonly name: string;
  /** Its record is renewed. Of one that is gone only the proxies count that were lagging. */
  readonly live: boolean;
  /** How long whoever decides has known it. */
  readonly knownMs: number;
  readonly report: CaReport | undefined;
}

export interface Facts {
  readonly now: number;
  /** Why dates are not relied on at present: no phase ends by them, nor at all. */
  readonly clockFault?: string | undefined;
  readonly given: Given | undefined;
  /** There is a plugged-in authority, usable or not: then none is generated. */
  readonly plugged: boolean;
  readonly request: CaRequest | undefined;
  /** Undefined while it is not known which replicas there are. */
  readonly replicas: readonly ReplicaFacts[] | undefined;
  /** False for a proxy whose pod is gone for good. */
  readonly exists: (proxy: string) => boolean;
  readonly newRoot: () => CaMaterial;
  /**
   * How long is waited for what cannot be seen: copies of the roots that are mounted, and proxies that come back after a replica has gone or begun.
   */
  readonly patienceMs: number;
  /** A proxy that has gone is not waited for any longer in one phase: its certificate has ended, or it was stopped for good. */
  readonly missingMs: number;
  /** Life of the leaves that proxies get over SDS. */
  readonly leafMs: number;
  /** A self-signed root is replaced when this part of its life is left. */
  readonly renewalFraction: number;
}

export type ProgressFacts = Pick<Facts, 'now' | 'clockFault' | 'replicas' | 'patienceMs' | 'missingMs' | 'leafMs'>;

export interface Decision {
  readonly state: CaState;
  /** For the log: what has happened. */
  readonly said: readonly string[];
}

/** How far the phase is. */
export interface Progress {
  /** Why the next phase does not begin; empty when it may. */
  readonly waits: readonly string[];
  /** Proxies that the phase waits for, as far as their names are told. */
  readonly lagging: readonly string[];
}

/** A replica may sign with the old root so long after the new one was to sign. */
const followMs = 60_000;
const maxMarginMs = 3600_000;
const maxMissing = 1_000;
const maxFormer = 8;

/** One step, or undefined when everything is as it should be. */
export function decide(view: CaView, facts: Facts): Decision | undefined {
  return takeGiven(view, facts) ?? takeRequest(view, facts) ?? renewRoot(view, facts) ?? proceed(view, facts);
}

/** What lies in `cacerts` or `istio-ca-secret`, compared with what is in force. */
function takeGiven(view: CaView, { given, now }: Facts): Decision | undefined {
  const { state, authority, next } = view;
  // A plugged-in signer stays in force when its Secret is deleted, also where one of our own is still there.
  if (given === undefined || (given.origin === 'self-signed' && state.origin === 'plugged-in')) return undefined;
  const { generation } = given.authority;
  if (generation === authority.generation) {
    if (isBeforeSigning(state) && state.rotation?.reason === 'cacerts')
      return { state: withdrawn(state, now), said: ['the signer in force was given again: the rotation is withdrawn'] };
    return sameRoots(given.authority, authority) ? undefined : adopt(view, given, now);
  }
  if (generation === next?.generation || generation === state.declined) return undefined;
  // Ours of before a rotation, not yet replaced in its Secret.
  if (given.origin === 'self-signed' && state.former.includes(generation)) return undefined;
  const proven = state.phase === 'signing' ? [...authority.roots, ...view.trusted] : [authority.root];
  if (includes(proven, given.authority.root) || expired(authority, now)) return adopt(view, given, now);
  if (state.phase === 'signing') return undefined;
  return stage(view, given, given.authority.root, 'cacerts', now);
}

function takeRequest(view: CaView, facts: Facts): Decision | undefined {
  const { state } = view;
  const { request, now, plugged } = facts;
  if (request === undefined || request.id === state.request?.id) return undefined;
  const answered = (outcome: string, changed: CaState = state): Decision => ({
    state: { ...changed, request: { id: request.id, outcome } },
    said: [`request to ${request.action}: ${outcome}`],
  });
  if (request.action === 'abort') {
    if (!isBeforeSigning(state))
      return answered('refused: there is no rotation that could be aborted; the new root signs already, or there is none');
    return answered('aborted', { ...withdrawn(state, now), ...(view.next !== undefined && { declined: view.next.generation }) });
  }
  if (isRotating(state)) return answered('refused: a rotation is under way');
  if (plugged) return answered('refused: the authority is plugged in; put the new one into its Secret, and its root is rotated');
  const { state: staged } = stageNew(view, facts, 'requested');
  return answered('staged', staged);
}

function renewRoot(view: CaView, facts: Facts): Decision | undefined {
  const { state, authority } = view;
  const { now, plugged, renewalFraction } = facts;
  if (isRotating(state) || state.origin === 'plugged-in' || plugged) return undefined;
  const { validFromDate: from, validToDate: to } = authority.root;
  const left = to.getTime() - now;
  return left < (to.getTime() - from.getTime()) * renewalFraction ? stageNew(view, facts, 'expiry') : undefined;
}

/** Takes in what the replicas report, and goes to the next phase where nothing waits. */
function proceed(view: CaView, facts: Facts): Decision | undefined {
  const { now } = facts;
  const state = account(view.state, facts);
  const current = state === view.state ? view : { ...view, state };
  const { phase, rotation } = state;
  const unchanged = state === view.state ? undefined : { state, said: [] };
  if (!isRotating(state) || rotation === undefined || progressOf(current, facts).waits.length > 0) return unchanged;
  switch (phase) {
    case 'staged':
      return {
        state: { ...state, phase: 'distributed', rotation: { ...rotation, distributedAt: now } },
        said: [`every proxy has accepted the new root ${rotation.to}`],
      };
    case 'distributed':
      return sign(current, rotation, now) ?? unchanged;
    default:
      return {
        state: { ...state, phase: 'retired', trusted: '', missing: [], rotation: { ...rotation, retiredAt: now } },
        said: [`the root ${rotation.from} is retired`],
      };
  }
}

function sign(view: CaView, rotation: Rotation, now: number): Decision | undefined {
  const { state, authority, next, trusted } = view;
  if (next === undefined || state.next === undefined) return undefined;
  const { next: coming, ...rest } = state;
  const old = distinctRoots([...authority.roots, ...trusted]).filter((root) => !includes(next.roots, root));
  return {
    state: {
      ...rest,
      phase: 'signing',
      origin: coming.origin,
      signer: coming.material,
      trusted: rootsPem(old),
      rotation: { ...rotation, signingAt: now },
      missing: [],
      former: [...state.former, authority.generation].slice(-maxFormer),
    },
    said: [`the new root ${rotation.to} signs`],
  };
}

/** Why the next phase does not begin. Nothing is assumed: what is not known is waited for. */
export function progressOf(view: CaView, facts: ProgressFacts): Progress {
  const { clockFault } = facts;
  if (!isRotating(view.state)) return { waits: [], lagging: [] };
  const { waits, lagging } = progressByTime(view, facts);
  return { waits: clockFault === undefined ? waits : [clockFault, ...waits], lagging };
}

function progressByTime(view: CaView, { now, replicas, patienceMs, missingMs, leafMs }: ProgressFacts): Progress {
  const { state } = view;
  const waits: string[] = [];
  const began = (state.phase === 'signing' ? state.rotation?.signingAt : state.rotation?.stagedAt) ?? now;
  const missing = now < began + missingMs ? state.missing : [];
  const lagging = new Set(missing);
  if (replicas === undefined) waits.push('it is not known which replicas there are');
  for (const { name, live, knownMs, report } of replicas ?? []) {
    if (!live) {
      waits.push(`replica ${name} is gone; its proxies are given time to come back to another`);
      continue;
    }
    if (report?.rotating !== true || report.bundle !== view.version || report.signer !== view.authority.generation) {
      waits.push(`replica ${name} does not follow yet`);
      continue;
    }
    if (knownMs < patienceMs) waits.push(`replica ${name} has just begun; proxies are given time to come to it`);
    const late: Lagging = state.phase === 'signing' ? report.leaves : report.roots;
    for (const proxy of late.names) lagging.add(proxy);
    if (late.count > 0) waits.push(`${count(late.count, 'proxy', 'proxies')} of replica ${name}: ${listed(late.names, late.count)}`);
  }
  if (missing.length > 0) {
    waits.push(`${count(missing.length, 'proxy', 'proxies')} no longer connected: ${listed(missing, missing.length)}`);
  }
  if (state.phase === 'signing') return retirement(view, now, leafMs, { waits, lagging: [...lagging] });
  const untold = latest(state.leaves.filter((leaf) => leaf.bundle !== view.version));
  if (untold > now) waits.push(`certificates given by request without the new root are valid until ${time(untold)}`);
  const mounted = (state.rotation?.stagedAt ?? now) + patienceMs;
  if (state.phase === 'distributed' && now < mounted) waits.push(`mounted copies of the roots are given time until ${time(mounted)}`);
  return { waits, lagging: [...lagging] };
}

/** The old root may go when nobody lags, or when no leaf below it is valid any more. */
function retirement({ state, authority }: CaView, now: number, leafMs: number, { waits, lagging }: Progress): Progress {
  const kept = new Set(authority.roots.map(generationOf));
  const byRequest = latest(state.leaves.filter((leaf) => !kept.has(leaf.root)));
  const bySds = (state.rotation?.signingAt ?? now) + leafMs + followMs;
  if (Math.max(byRequest, bySds) <= now) return { waits: [], lagging };
  if (byRequest <= now) return { waits, lagging };
  return { waits: [...waits, `certificates given by request below the old root are valid until ${time(byRequest)}`], lagging };
}

/** The state with what the replicas have told; the same object when nothing of it is new. */
function account(state: CaState, facts: Facts): CaState {
  const leaves = mergeEnds(state, facts);
  const missing = isRotating(state) ? mergeMissing(state, facts) : [];
  const same = JSON.stringify(leaves) === JSON.stringify(state.leaves) && missing.join() === state.missing.join();
  return same ? state : { ...state, leaves, missing };
}

/** The end of the last leaf of each kind. It is kept with a margin, so that not every new leaf is a write. */
function mergeEnds(state: CaState, { now, replicas }: Facts): readonly LeafEnd[] {
  const ends = new Map(state.leaves.filter((leaf) => leaf.until > now).map((leaf) => [keyOf(leaf), leaf]));
  for (const end of (replicas ?? []).flatMap(({ report }) => report?.ends ?? [])) {
    if (end.until <= now || (ends.get(keyOf(end))?.until ?? 0) >= end.until) continue;
    ends.set(keyOf(end), { ...end, until: end.until + Math.min(maxMarginMs, Math.ceil((end.until - now) / 20)) });
  }
  return [...ends.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function keyOf({ root, bundle }: LeafEnd): string {
  return `${root} ${bundle}`;
}

function mergeMissing(state: CaState, { replicas, exists }: Facts): readonly string[] {
  const missing = new Set(state.missing);
  for (const { live, report } of replicas ?? []) {
    if (report === undefined) continue;
    const lost = live ? report.gone : [...report.gone, ...(state.phase === 'signing' ? report.leaves : report.roots).names];
    for (const proxy of lost) if (missing.size < maxMissing) missing.add(proxy);
  }
  for (const { live, report } of replicas ?? []) if (live) for (const proxy of report?.found ?? []) missing.delete(proxy);
  return [...missing].filter(exists).sort();
}

function stageNew(view: CaView, { newRoot, given, now }: Facts, reason: Rotation['reason']): Decision {
  const material = newRoot();
  const [root] = readCertificates(material.roots, 'the new root');
  const staged = stage(view, { origin: 'self-signed', material }, root, reason, now);
  // Left over from before a plugged-in authority: it is not to come back by itself.
  const leftOver = given?.origin === 'self-signed' ? given.authority.generation : undefined;
  if (leftOver === undefined || leftOver === view.authority.generation || view.state.former.includes(leftOver)) return staged;
  return { ...staged, state: { ...staged.state, former: [...staged.state.former, leftOver].slice(-maxFormer) } };
}

function stage(
  { state, authority }: CaView,
  { origin, material }: Pick<Given, 'origin' | 'material'>,
  root: X509Certificate,
  reason: Rotation['reason'],
  now: number,
): Decision {
  const { declined: _, ...rest } = state;
  const rotation = { reason, from: generationOf(authority.root), to: generationOf(root), stagedAt: now };
  return {
    state: { ...rest, phase: 'staged', next: { origin, material }, rotation, missing: [] },
    said: [`the root ${rotation.to} is staged; it is to replace ${rotation.from} (${reason})`],
  };
}

/** Signs at once with what is trusted already. Roots that it no longer brings stay trusted until they can be retired. */
function adopt({ state, authority, trusted }: CaView, { origin, material, authority: given }: Given, now: number): Decision {
  const { next: _, ...rest } = state;
  const kept = distinctRoots([...authority.roots, ...trusted]).filter(
    (root) => !includes(given.roots, root) && root.validToDate.getTime() > now,
  );
  const began: Rotation =
    state.phase === 'signing' && state.rotation !== undefined
      ? state.rotation
      : {
          reason: 'cacerts',
          from: generationOf(kept[0] ?? authority.root),
          to: generationOf(given.root),
          stagedAt: now,
          distributedAt: now,
          signingAt: now,
        };
  const isOther = given.generation !== authority.generation;
  return {
    state: {
      ...rest,
      origin,
      signer: material,
      trusted: rootsPem(kept),
      missing: [],
      phase: kept.length > 0 ? 'signing' : isRotating(state) ? 'stable' : state.phase,
      ...(kept.length > 0 && { rotation: began }),
      former: isOther ? [...state.former, authority.generation].slice(-maxFormer) : state.former,
    },
    said: [`${given.source} signs (${given.generation}), below the root ${generationOf(given.root)}`],
  };
}

function withdrawn(state: CaState, now: number): CaState {
  const { next: _, rotation, ...rest } = state;
  return { ...rest, phase: 'stable', missing: [], ...(rotation !== undefined && { rotation: { ...rotation, abortedAt: now } }) };
}

export function isRotating({ phase }: CaState): boolean {
  return phase === 'staged' || phase === 'distributed' || phase === 'signing';
}

function isBeforeSigning({ phase }: CaState): boolean {
  return phase === 'staged' || phase === 'distributed';
}

function expired(authority: Authority, now: number): boolean {
  return authority.notAfter.getTime() <= now;
}

function sameRoots(a: Authority, b: Authority): boolean {
  return rootsPem(distinctRoots(a.roots)) === rootsPem(distinctRoots(b.roots));
}

function includes(roots: readonly X509Certificate[], root: X509Certificate): boolean {
  return roots.some((other) => other.raw.equals(root.raw));
}

function latest(leaves: readonly LeafEnd[]): number {
  return Math.max(0, ...leaves.map((leaf) => leaf.until));
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

function listed(names: readonly string[], total: number): string {
  const shown = names.slice(0, 5);
  return shown.join(', ') + (total > shown.length ? `, and ${total - shown.length} more` : '');
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
