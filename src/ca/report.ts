/** What a replica tells the others of its proxies: which roots and whose certificates they have accepted. */
import type { LeafEnd } from './state.ts';

/** Names that one list tells; the number says how many there are. */
const maxNames = 20;
const maxNameLength = 160;

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
  return { count: names.length, names: names.slice(0, maxNames).map((name) => name.slice(0, maxNameLength)) };
}

export function encodeReport(report: CaReport): string {
  return JSON.stringify(report);
}

/** Undefined for what is none. Said by replicas of ours alone. */
export function parseReport(text: string | undefined): CaReport | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<CaReport> | null;
    if (value === null || typeof value.bundle !== 'string' || typeof value.signer !== 'string') return undefined;
    return {
      bundle: value.bundle,
      signer: value.signer,
      rotating: value.rotating === true,
      proxies: value.proxies ?? 0,
      agents: value.agents ?? 0,
      roots: value.roots ?? { count: 0, names: [] },
      leaves: value.leaves ?? { count: 0, names: [] },
      gone: value.gone ?? [],
      found: value.found ?? [],
      ends: value.ends ?? [],
    };
  } catch {
    return undefined;
  }
}
