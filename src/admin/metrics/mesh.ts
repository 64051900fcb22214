/** What the mesh consists of, and where nothing can be sent. */
import type { Instruments } from './instruments.ts';

export interface MeshFigures {
  services(): number;
  virtualServices(): number;
  endpoints(): EndpointFigures;
}

export interface EndpointFigures {
  /** Ports of services whose endpoints come from the control plane, without any. */
  readonly emptyEds: number;
  /** Ports of services that are resolved by DNS, without a name to ask for. */
  readonly emptyDns: number;
  /** Endpoints that are left out until their pod is known, and the services that have some. */
  readonly pendingPods: number;
  readonly pendingServices: number;
  /** How many endpoints have ever come before their pod. */
  readonly everPending: number;
}

export function meshMetrics(make: Instruments, figures: MeshFigures): void {
  make.read('pilot_services', 'Services in the mesh', () => figures.services());
  make.read('pilot_virt_services', 'VirtualServices in the mesh', () => figures.virtualServices());
  make.read('pilot_eds_no_instances', 'Ports of services without endpoints', () => figures.endpoints().emptyEds);
  make.read('pilot_dns_cluster_without_endpoints', 'Ports of services that name nothing for DNS', () => figures.endpoints().emptyDns);
  make.read(
    'pilot_k8s_endpoints_pending_pod',
    'Endpoints that are left out until their pod is known',
    () => figures.endpoints().pendingPods,
  );
  make.read(
    'endpoint_no_pod',
    'Services with endpoints that are left out until their pod is known',
    () => figures.endpoints().pendingServices,
  );
  make.total('pilot_k8s_endpoints_with_no_pods', 'Endpoints that came before their pod', () => figures.endpoints().everPending);
}
