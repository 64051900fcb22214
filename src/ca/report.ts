/** What a replica tells the others of its proxies: which roots and whose certificates they have accepted. */
import type { LeafEnd } from './state.ts';

/** Names that one list tells; the number says how many there are. */
const maxNames = 20;
/** A report has room in a Lease: proxies name themselves, and may do so at length. */
const maxLaggingBytes = 2_560;
const maxListBytes = 4_096;

export interface Lagging {
  readonly count: number;
  /** Some of them. */
  readonly names: readonly string[];
}

export interface CaReport {
  /** Version of the roots that this replica gives out; what is said of `roots` is said of these. */
  readonly bundle: string;
  /** Generation of its signer; what is said of `leaves` is said of this one. */
  readonly signer: string;
  /** A rotation is under way here too: only then it is looked at who lags. */
  readonly rotating: boolean;
  /** Connected proxies that get their secrets from us. */
  readonly proxies: number;
  /** Connected proxies with an agent of their own, which tell nobody what they have accepted. */
  readonly agents: number;
  /** Proxies that have not accepted these roots. */
  readonly roots: Lagging;
  /** Proxies that have not accepted a certificate of this signer. */
  readonly leaves: Lagging;
  /** Proxies that went away while they were lagging. */
  readonly gone: readonly string[];
  /** Of those that are missing: what is connected here and has accepted everything. */
  readonly found: readonly string[];
  readonly ends: readonly LeafEnd[];
}

export function laggingOf(names: readonly string[]): Lagging {
  return { count: names.length, names: fitting(names.slice(0, maxNames), maxLaggingBytes) };
}

/** Those of the names that a list has room for, from the first on; never a part of a name. */
export function fitting(names: readonly string[], maxBytes = maxListBytes): readonly string[] {
  let bytes = 0;
  return names.filter((name) => {
    const more = Buffer.byteLength(JSON.stringify(name)) + 1;
    if (bytes + more > maxBytes) return false;
    bytes += more;
    return true;
  });
}

export function encodeReport(report: CaReport): string {
  return JSON.stringify(report);
}

/** Undefined for what is none: the replica is waited for. Whoever may write Leases may write this. */
export function parseReport(text: string | undefined): CaReport | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<Record<keyof CaReport, unknown>> | null;
    if (value === null || typeof value.bundle !== 'string' || typeof value.signer !== 'string') return undefined;
    const { proxies = 0, agents = 0, roots = nobody, leaves = nobody, gone = [], found = [], ends = [] } = value;
    if (!isCount(proxies) || !isCount(agents) || !isLagging(roots) || !isLagging(leaves)) return undefined;
    if (!isNames(gone) || !isNames(found) || !Array.isArray(ends) || !ends.every(isEnd)) return undefined;
    const { bundle, signer, rotating } = value;
    return { bundle, signer, rotating: rotating === true, proxies, agents, roots, leaves, gone, found, ends };
  } catch {
    return undefined;
  }
}

const nobody: Lagging = { count: 0, names: [] };
/** Of a Date: what is later can be written in no message. */
const lastTime = 8.64e15;

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

function isLagging(value: unknown): value is Lagging {
  return (
    typeof value === 'object' && value !== null && 'count' in value && 'names' in value && isCount(value.count) && isNames(value.names)
  );
}

function isEnd(value: unknown): value is LeafEnd {
  if (typeof value !== 'object' || value === null || !('root' in value) || !('bundle' in value) || !('until' in value)) return false;
  const { root, bundle, until } = value;
  return typeof root === 'string' && typeof bundle === 'string' && isCount(until) && until < lastTime;
}
