/** Endpoints as proxies have them that reach others from somewhere else than most: another network, or with addresses of one family alone. */
import type { Vantage } from '../envoy/endpoints/reach.ts';
import { hostOfException } from '../mesh/visibility.ts';
import type { KeySource } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import { endpointType } from '../wire/types.ts';
import { hostEndpoints } from './hosts.ts';
import type { OutboundPart } from './outbound.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { SidecarPart } from './sidecar.ts';
import { resourceLists, type Translation } from './translation.ts';

export type VantageScope = { readonly vantage: Vantage } & (
  | { readonly of: 'public'; readonly below: OutboundPart }
  | { readonly of: 'namespace'; readonly namespace: string }
  | { readonly of: 'sidecar'; readonly namespace: string; readonly below: SidecarPart }
);

/**
 * That of what all see holds what differs from there, and that of a Sidecar likewise. That of a namespace lies over both, and holds all endpoints of the hosts
 * that the namespace sees differently.
 */
export class VantagePart extends SnapshotPart {
  private readonly disposables: { dispose(): void }[] = [];

  constructor(t: Translation, id: string, scope: VantageScope, touched: Touched) {
    super(id, touched);
    const namespace = scope.of === 'public' ? undefined : scope.namespace;
    const below = scope.of === 'namespace' ? undefined : scope.below.endpoints;
    const hosts = this.hostsOf(t, scope);
    const reads = [t.mesh.endpoints, t.mesh.destinationRules, t.identities];
    const endpoints = resourceLists<string>(
      t,
      `${id} endpoints`,
      hosts,
      reads,
      (host, problems) => hostEndpoints(t, namespace, host, problems, { vantage: scope.vantage }),
      below,
    );
    this.disposables.unshift(endpoints);
    this.follow(endpointType, endpoints);
  }

  private hostsOf({ mesh, visibility }: Translation, scope: VantageScope): KeySource<string> {
    if (scope.of === 'sidecar') return scope.below.hosts;
    const hosts =
      scope.of === 'public'
        ? new KeySet(mesh.graph, [visibility.hosts]).addBucket(visibility.hostsByVisibility, 'public')
        : new KeySet(mesh.graph, [visibility.exceptions]).addBucket(
            visibility.exceptionsByScope,
            `${scope.namespace}#clusters`,
            hostOfException,
          );
    this.disposables.push(hosts);
    return hosts;
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}
