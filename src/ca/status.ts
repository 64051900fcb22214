/** What people see of the certificate authority: no keys, times as RFC 3339. */
import type { X509Certificate } from 'node:crypto';
import { generationOf } from './authority.ts';
import { progressOf, type ProgressFacts } from './rotation.ts';
import type { CaView, Origin, Phase } from './state.ts';

export interface CaStatus {
  readonly phase: Phase;
  readonly signer: { readonly generation: string; readonly root: string; readonly origin: Origin; readonly notAfter: string };
  readonly roots: readonly RootStatus[];
  /** The rotation under way, or the last one. */
  readonly rotation?: {
    readonly reason: string;
    readonly from: string;
    readonly to: string;
    readonly stagedAt: string;
    readonly distributedAt?: string;
    readonly signingAt?: string;
    readonly retiredAt?: string;
    readonly abortedAt?: string;
  };
  readonly replicas: readonly ReplicaStatus[];
  /** Why the next phase does not begin. */
  readonly waits: readonly string[];
  /** Proxies that are waited for. */
  readonly lagging: readonly string[];
  readonly request?: { readonly id: string; readonly outcome: string };
}

export interface RootStatus {
  readonly id: string;
  readonly subject: string;
  readonly notAfter: string;
  /** `signing`: leaves are signed below it; `staged`: it is to sign; `retiring`: it signed before; `trusted`: it came with the signer. */
  readonly role: 'signing' | 'staged' | 'retiring' | 'trusted';
}

export interface ReplicaStatus {
  readonly name: string;
  readonly live: boolean;
  /** It gives out the present roots and signs as it should. */
  readonly follows: boolean;
  /** Proxies that get their secrets from it. */
  readonly proxies: number;
  /** Proxies with an agent that asks for certificates by itself. */
  readonly agents: number;
  readonly withoutRoots: number;
  readonly withoutLeaf: number;
}

export function statusOf(view: CaView, facts: ProgressFacts): CaStatus {
  const { state, authority } = view;
  const { waits, lagging } = progressOf(view, facts);
  const { rotation, request } = state;
  return {
    phase: state.phase,
    signer: {
      generation: authority.generation,
      root: generationOf(authority.root),
      origin: state.origin,
      notAfter: authority.notAfter.toISOString(),
    },
    roots: view.roots.map((root) => rootStatus(view, root)),
    ...(rotation !== undefined && {
      rotation: {
        reason: rotation.reason,
        from: rotation.from,
        to: rotation.to,
        stagedAt: time(rotation.stagedAt),
        ...(rotation.distributedAt !== undefined && { distributedAt: time(rotation.distributedAt) }),
        ...(rotation.signingAt !== undefined && { signingAt: time(rotation.signingAt) }),
        ...(rotation.retiredAt !== undefined && { retiredAt: time(rotation.retiredAt) }),
        ...(rotation.abortedAt !== undefined && { abortedAt: time(rotation.abortedAt) }),
      },
    }),
    replicas: (facts.replicas ?? []).map(({ name, live, report }) => ({
      name,
      live,
      follows: report?.bundle === view.version && report.signer === authority.generation,
      proxies: report?.proxies ?? 0,
      agents: report?.agents ?? 0,
      withoutRoots: report?.roots.count ?? 0,
      withoutLeaf: report?.leaves.count ?? 0,
    })),
    waits,
    lagging,
    ...(request !== undefined && { request }),
  };
}

function rootStatus({ authority, next, trusted }: CaView, root: X509Certificate): RootStatus {
  const is = (other: X509Certificate): boolean => other.raw.equals(root.raw);
  return {
    id: generationOf(root),
    subject: root.subject.replaceAll('\n', ', '),
    notAfter: root.validToDate.toISOString(),
    role: is(authority.root)
      ? 'signing'
      : trusted.some(is)
        ? 'retiring'
        : authority.roots.some(is)
          ? 'trusted'
          : next?.roots.some(is) === true
            ? 'staged'
            : 'trusted',
  };
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
