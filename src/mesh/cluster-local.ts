/** Hosts that each cluster has for itself: their endpoints are those of the client's own cluster. Source: Istio, pilot/pkg/model/cluster_local.go. */
import type { MeshConfig } from '../apis/mesh-config.ts';
import { hostCandidates } from '../lib/host.ts';
import { clusterDomain } from './services.ts';

const always = [`kubernetes.default.svc.${clusterDomain}`, `*.kube-system.svc.${clusterDomain}`];

/** By the most specific host that `serviceSettings` or Istio's defaults name. */
export function isClusterLocal(host: string, { serviceSettings = [] }: Pick<MeshConfig, 'serviceSettings'>): boolean {
  for (const pattern of hostCandidates(host)) {
    const setting = serviceSettings.findLast(({ hosts = [] }) => hosts.includes(pattern));
    if (setting !== undefined) return setting.settings?.clusterLocal === true;
    if (always.includes(pattern)) return true;
  }
  return false;
}
