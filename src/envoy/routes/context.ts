import type { MeshConfig } from '../../apis/mesh-config.ts';
import type { Labels } from '../../lib/labels.ts';
import type { MeshDestinationRule, Service } from '../../mesh/model.ts';

/** For whom a route table is, and what its routes may ask for. `service` and `rule` are recorded reads: they are called only where needed. */
export interface RouteContext {
  readonly mesh: MeshConfig;
  /** `mesh` for sidecars, else the gateways `namespace/name` that the table serves. */
  readonly gateways: readonly string[];
  /** Labels and namespace of the proxy, for matches by source. Read only where a VirtualService asks for them. */
  readonly source: { readonly labels: Labels; readonly namespace: string };
  /** Port of the table; 0 for `http_proxy`, which serves all ports. */
  readonly listenerPort: number;
  /** Requests came by HTTPS; decides the default scheme of redirects. */
  readonly https?: boolean;
  readonly service: (host: string) => Service | undefined;
  readonly rule: (host: string) => MeshDestinationRule | undefined;
}
