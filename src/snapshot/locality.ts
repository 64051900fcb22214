import type { ProxyLocation } from '../envoy/endpoints/locality-balancing.ts';
import type { Vantage } from '../envoy/endpoints/reach.ts';
import { hostOfException, type localityScope, type nodeScope } from '../mesh/visibility.ts';
import { KeySet } from '../store/keys.ts';
import { endpointType } from '../wire/types.ts';
import { hostEndpoints } from './hosts.ts';
import { SnapshotPart, type Touched } from './part.ts';
import { SidecarPart } from './sidecar.ts';
import { resourceLists, type Translation } from './translation.ts';

export interface LocalityScope {
  readonly namespace: string;
  /** Which hosts: those that depend on the locality, or on the node as well. */
  readonly hosts: typeof localityScope | typeof nodeScope;
  readonly proxy: ProxyLocation;
  readonly vantage: Vantage | undefined;
}

/** Endpoints whose order or weight depends on where the client is, over the parts below. `within`: only of hosts that this part has. */
export class LocalityPart extends SnapshotPart {
  private readonly disposables: { dispose(): void }[] = [];

  constructor(t: Translation, id: string, scope: LocalityScope, touched: Touched, within?: SnapshotPart) {
    super(id, touched);
    const { namespace, proxy, vantage } = scope;
    const hosts = new KeySet(t.mesh.graph, [t.visibility.exceptions]).addBucket(
      t.visibility.exceptionsByScope,
      `${scope.hosts}#clusters`,
      hostOfException,
    );
    const seen = within instanceof SidecarPart ? within : undefined;
    const reads = [t.mesh.endpoints, t.mesh.destinationRules, t.identities, ...(seen === undefined ? [] : [seen.endpoints])];
    const endpoints = resourceLists<string>(t, `${id} endpoints`, hosts, reads, (host, problems) => {
      if (seen !== undefined && (seen.endpoints.get(host)?.resources ?? []).length === 0) return [];
      return hostEndpoints(t, namespace, host, problems, { proxy, ...(vantage !== undefined && { vantage }) });
    });
    this.disposables.push(endpoints, hosts);
    this.follow(endpointType, endpoints);
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}
