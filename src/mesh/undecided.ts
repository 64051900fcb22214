/**
 * Policies of which it is not known whether they are of this revision: what is allowed is what would be allowed in both cases. All policies with one label are
 * of this revision, or none of them is.
 */
import type { PeerAuthenticationResult } from './mesh.ts';
import type { MeshAuthorizationPolicy, MtlsMode } from './model.ts';

interface Undecided {
  readonly undecidedTag?: string | undefined;
}

export function tagsOf(policies: readonly Undecided[]): ReadonlySet<string> {
  return new Set(policies.flatMap(({ undecidedTag }) => undecidedTag ?? []));
}

/**
 * Whatever DENY adds is refused. An ALLOW closes where there is no other, and opens where there is: there it does not count. Where there are only such, of
 * several labels, nothing that any of them alone allows is sure to be allowed: they hold back the workload.
 */
export function narrowest(policies: readonly MeshAuthorizationPolicy[]): readonly MeshAuthorizationPolicy[] {
  if (!policies.some(({ undecidedTag }) => undecidedTag !== undefined)) return policies;
  const allows = policies.filter(
    ({ spec, dryRun, untranslated }) => (spec.action ?? 'ALLOW') === 'ALLOW' && dryRun !== true && untranslated.length === 0,
  );
  const undecided = new Set(allows.filter(({ undecidedTag }) => undecidedTag !== undefined));
  if (undecided.size < allows.length) return policies.filter((policy) => !undecided.has(policy));
  if (tagsOf(allows).size < 2) return policies;
  return policies.map((policy) => (undecided.has(policy) ? { ...policy, untranslated: ['metadata.labels["istio.io/rev"]'] } : policy));
}

const strictness: readonly MtlsMode[] = ['DISABLE', 'PERMISSIVE', 'STRICT'];

/** Of each port the strictest of its modes. */
export function strictest(results: readonly PeerAuthenticationResult[]): PeerAuthenticationResult {
  const ports = [...new Set(results.flatMap((result) => Object.keys(result.ports).map(Number)))];
  return {
    mode: strictestOf(results.map(({ mode }) => mode)),
    ports: Object.fromEntries(ports.map((port) => [port, strictestOf(results.map((result) => result.ports[port] ?? result.mode))])),
  };
}

function strictestOf(modes: readonly MtlsMode[]): MtlsMode {
  return modes.reduce((a, b) => (strictness.indexOf(b) > strictness.indexOf(a) ? b : a), 'DISABLE');
}
