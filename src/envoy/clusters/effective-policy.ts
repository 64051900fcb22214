import type { TrafficPolicy } from '../../apis/traffic-policy.ts';
import type { MeshDestinationRule } from '../../mesh/model.ts';

/** The traffic policy of one port and subset, with portLevelSettings resolved. */
export type EffectivePolicy = Omit<TrafficPolicy, 'portLevelSettings'>;

/**
 * Istio's merge: settings of a port replace the rule's policy as a whole (what they leave out is at its default); a subset's policy replaces it
 * section by section, its own settings of the port before its general ones.
 */
export function effectivePolicy(rule: MeshDestinationRule | undefined, port: number, subset?: string): EffectivePolicy {
  const base = ofPort(rule?.spec.trafficPolicy, port);
  if (subset === undefined) return base.policy;
  const own = rule?.spec.subsets?.find(({ name }) => name === subset)?.trafficPolicy;
  return own === undefined ? base.policy : mergePolicy(base.policy, own, port);
}

/** `base` has its ports resolved already. */
export function mergePolicy(base: EffectivePolicy, subset: TrafficPolicy, port: number): EffectivePolicy {
  const { policy, fromPort } = ofPort(subset, port);
  if (!fromPort) return { ...base, ...policy };
  // A port has no say over these sections, and over all others it has the only one.
  const { tunnel, proxyProtocol, retryBudget } = base;
  return { ...(tunnel && { tunnel }), ...(proxyProtocol && { proxyProtocol }), ...(retryBudget && { retryBudget }), ...policy };
}

function ofPort(policy: TrafficPolicy | undefined, port: number): { policy: EffectivePolicy; fromPort: boolean } {
  const settings = policy?.portLevelSettings?.find((candidate) => candidate.port?.number === port);
  if (settings !== undefined) {
    const { port: _, ...rest } = settings;
    return { policy: rest, fromPort: true };
  }
  const { portLevelSettings: _, ...rest } = policy ?? {};
  return { policy: rest, fromPort: false };
}
