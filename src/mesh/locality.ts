import type { MeshConfig } from '../apis/mesh-config.ts';
import type { MeshDestinationRule } from './model.ts';

/** By which label a rule prefers endpoints of the client's node. */
export const nodeLabel = 'kubernetes.io/hostname';

/**
 * Whether the priorities and weights of a host's endpoints depend on where the client is: `distribute` always, failover only where outlier detection can
 * notice a failure. Source: Istio, pilot/pkg/networking/core/loadbalancer.
 */
export function dependsOnLocality(rule: MeshDestinationRule | undefined, mesh: MeshConfig): boolean {
  if ((mesh.localityLbSetting.distribute ?? []).length > 0) return true;
  return policiesOf(rule).some((p) => p.outlierDetection !== undefined || (p.loadBalancer?.localityLbSetting?.distribute ?? []).length > 0);
}

/** Whether they depend even on its node. */
export function dependsOnNode(rule: MeshDestinationRule | undefined, mesh: MeshConfig): boolean {
  return [mesh.localityLbSetting, ...policiesOf(rule).map((p) => p.loadBalancer?.localityLbSetting)].some((setting) =>
    (setting?.failoverPriority ?? []).includes(nodeLabel),
  );
}

function policiesOf(rule: MeshDestinationRule | undefined) {
  const policies = [rule?.spec.trafficPolicy, ...(rule?.spec.subsets ?? []).map((s) => s.trafficPolicy)].filter((p) => p !== undefined);
  return policies.flatMap((p) => [p, ...(p.portLevelSettings ?? [])]);
}
