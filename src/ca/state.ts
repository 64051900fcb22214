/**
 * The state of the certificate authority that all replicas share: what signs, what is to sign next, what else is trusted, and how far a rotation of the
 * root is. It is kept as the data of a Secret, or as a file of the state folder.
 */
import type { X509Certificate } from 'node:crypto';
import { CredentialFault } from '../identity/fault.ts';
import { readAuthority, type Authority } from './authority.ts';
import { bundleVersion, distinctRoots, rootsPem } from './bundle.ts';
import { istioKeys, materialIn, type CaMaterial, type MaterialPart } from './material.ts';
import { readCertificates } from './pem.ts';

/**
 * `staged`: the new root is distributed and does not sign; `distributed`: every proxy has accepted it; `signing`: it signs, the old one is still trusted;
 * `retired`: the old one is gone. `stable`: there was no rotation, or it was aborted.
 */
export type Phase = 'stable' | 'staged' | 'distributed' | 'signing' | 'retired';
export const phases: readonly Phase[] = ['stable', 'staged', 'distributed', 'signing', 'retired'];

/** Where a signer comes from: generated and kept by us, or given by the user. */
export type Origin = 'self-signed' | 'plugged-in';

/** For people; times are milliseconds since 1970. */
export interface Rotation {
  readonly reason: 'requested' | 'expiry' | 'cacerts';
  /** Roots, by the first 12 digits of their SHA-256. */
  readonly from: string;
  readonly to: string;
  readonly stagedAt: number;
  readonly distributedAt?: number;
  readonly signingAt?: number;
  readonly retiredAt?: number;
  readonly abortedAt?: number;
}

/**
 * Until when leaves are valid that were given out by signing request, below this root and with this bundle of roots: nobody tells us what their holders
 * have accepted.
 */
export interface LeafEnd {
  readonly root: string;
  readonly bundle: string;
  readonly until: number;
}

export interface CaState {
  readonly phase: Phase;
  readonly origin: Origin;
  readonly signer: CaMaterial;
  /** While staged and distributed. */
  readonly next?: { readonly origin: Origin; readonly material: CaMaterial };
  /** PEM of roots that are trusted beside the signer's: those that are to be retired. May be empty. */
  readonly trusted: string;
  /** The one under way, or the last one. */
  readonly rotation?: Rotation;
  /** Kept here because leaves outlive the replica that has signed them. */
  readonly leaves: readonly LeafEnd[];
  /** Proxies that went away before they had accepted what this phase waits for. */
  readonly missing: readonly string[];
  /** The last request, by its id, and what came of it. */
  readonly request?: { readonly id: string; readonly outcome: string };
  /** A signer that was given and whose rotation was aborted: it is not staged again by itself. */
  readonly declined?: string;
  /** Generations that have signed before. */
  readonly former: readonly string[];
}

/** A state with what is read out of it. */
export interface CaView {
  readonly state: CaState;
  readonly authority: Authority;
  readonly next?: Authority;
  readonly trusted: readonly X509Certificate[];
  /** All roots that proxies get. */
  readonly roots: readonly X509Certificate[];
  readonly pem: string;
  /** Of `pem`. */
  readonly version: string;
}

export function stableState(origin: Origin, signer: CaMaterial): CaState {
  return { phase: 'stable', origin, signer, trusted: '', leaves: [], missing: [], former: [] };
}

/** `where` names the object or file. Throws a CredentialFault where the state cannot be used; one that has expired can. */
export function viewOf(state: CaState, where: string): CaView {
  const name = (part: MaterialPart): string => `${where}: ${istioKeys[part]}`;
  const authority = readAuthority(state.signer, name);
  const next =
    state.next === undefined ? undefined : readAuthority(state.next.material, (part) => `${where}: ${nextPrefix}${istioKeys[part]}`);
  const trusted = state.trusted === '' ? [] : readCertificates(state.trusted, `${where}: ${trustedKey}`);
  const roots = distinctRoots([...authority.roots, ...trusted, ...(next?.roots ?? [])]);
  const pem = rootsPem(roots);
  return { state, authority, ...(next !== undefined && { next }), trusted, roots, pem, version: bundleVersion(pem) };
}

const stateKey = 'state.json';
const nextPrefix = 'next-';
const trustedKey = 'trusted-roots.pem';
const formatVersion = 1;

/** As the data of a Secret, not yet in base64. */
export function encodeState(state: CaState): Record<string, string> {
  const { signer, next, trusted, ...rest } = state;
  const document = { version: formatVersion, ...rest, ...(next !== undefined && { nextOrigin: next.origin }) };
  return {
    [stateKey]: `${JSON.stringify(document, null, 2)}\n`,
    ...encodeMaterial(signer, ''),
    ...(next === undefined ? {} : encodeMaterial(next.material, nextPrefix)),
    ...(trusted === '' ? {} : { [trustedKey]: trusted }),
  };
}

function encodeMaterial({ certificate, key, chain, roots }: CaMaterial, prefix: string): Record<string, string> {
  return {
    [prefix + istioKeys.certificate]: certificate,
    [prefix + istioKeys.key]: key,
    ...(chain === '' ? {} : { [prefix + istioKeys.chain]: chain }),
    [prefix + istioKeys.roots]: roots,
  };
}

/** Throws a CredentialFault that names `where`. Written by us alone: what does not fit is not mended. */
export function decodeState(data: Readonly<Record<string, string>>, where: string): CaState {
  const broken = (why: string): CredentialFault =>
    new CredentialFault('file', `${where}: ${stateKey} ${why}; delete it to begin anew with the signer at its source`);
  const text = data[stateKey];
  if (text === undefined) throw broken('is missing');
  let document: Partial<CaState> & { readonly version?: unknown; readonly nextOrigin?: Origin };
  try {
    document = JSON.parse(text) as typeof document;
  } catch {
    throw broken('is no JSON');
  }
  const { version, phase, origin, nextOrigin, rotation, leaves, missing, request, declined, former } = document;
  if (version !== formatVersion) throw broken(`is of version ${String(version)}, this release reads version ${formatVersion}`);
  if (phase === undefined || !phases.includes(phase) || (origin !== 'self-signed' && origin !== 'plugged-in'))
    throw broken(`has no known phase and origin`);
  const found = (name: string): string | undefined => data[name];
  const nextKeys = Object.fromEntries(Object.entries(istioKeys).map(([part, key]) => [part, nextPrefix + key])) as typeof istioKeys;
  return {
    phase,
    origin,
    signer: materialIn(found, istioKeys, where),
    ...(nextOrigin !== undefined && { next: { origin: nextOrigin, material: materialIn(found, nextKeys, where) } }),
    trusted: data[trustedKey] ?? '',
    ...(rotation !== undefined && { rotation }),
    leaves: leaves ?? [],
    missing: missing ?? [],
    ...(request !== undefined && { request }),
    ...(declined !== undefined && { declined }),
    former: former ?? [],
  };
}
