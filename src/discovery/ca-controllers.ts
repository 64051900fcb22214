/** What the leader does for the certificate authority of a cluster. */
import type { Log } from '../admin/log.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import type { Controller } from '../controllers/controller.ts';
import { RootConfigMaps } from '../controllers/roots/root-config-maps.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { matchesSelector } from '../sources/kubernetes/selection.ts';
import type { Certificates } from './certificates.ts';
import type { ClusterAccess } from './origin.ts';

export interface CaControllersOptions {
  readonly cluster: ClusterAccess;
  readonly certificates: Certificates;
  readonly mesh: () => MeshConfig;
  readonly log: Log;
}

export function caControllers({ cluster, certificates, mesh, log: logs }: CaControllersOptions): Controller[] {
  const log = logs.scope('controllers');
  const { bundle } = certificates.ca;
  return [
    new RootConfigMaps({
      ...cluster,
      clock: systemClock,
      roots: () => bundle.pem,
      onRootsChange: (listener) => bundle.onChange(listener),
      selects: (labels) => {
        const { discoverySelectors: selectors = [] } = mesh();
        return selectors.length === 0 || selectors.some((selector) => matchesSelector(selector, labels));
      },
      onFault: (message, error) => log.warn({ err: error }, message),
    }),
  ];
}
