/** What a gateway proxy gets: listeners and tables of the Gateways that select it, and of the mesh only the hosts that its routes name. */
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Secret } from '../apis/secret.ts';
import { buildBlackHoleCluster } from '../envoy/clusters/special.ts';
import type { ProxyLocation } from '../envoy/endpoints/locality-balancing.ts';
import type { Vantage } from '../envoy/endpoints/reach.ts';
import { buildGatewayListeners } from '../envoy/listeners/gateway.ts';
import { mergeGateways, serversByRouteName, type MergedGateways } from '../envoy/listeners/gateway-servers.ts';
import { buildGatewayRoute } from '../envoy/routes/gateway.ts';
import { matchesLabels } from '../lib/labels.ts';
import { workloadPort } from '../mesh/endpoints.ts';
import type { MeshGateway, MeshVirtualService } from '../mesh/model.ts';
import { visibleFrom } from '../mesh/services.ts';
import { wildcard } from '../mesh/slots.ts';
import { Derived, type KeySource } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, endpointType, listenerType, routeType, secretType } from '../wire/types.ts';
import { hostClusters, hostEndpoints, type Encoded } from './hosts.ts';
import type { TypeUrl } from '../xds/source.ts';
import type { Feature } from './features.ts';
import { SnapshotPart, type Touched } from './part.ts';
import type { ResourceLists } from './table.ts';
import { resourceLists, type Translation } from './translation.ts';
import { routeContext } from './virtual-hosts.ts';

export interface GatewayScope {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: Readonly<Record<string, number>>;
  /** Of pods. */
  readonly containerPorts?: Readonly<Record<string, number>>;
  readonly location: ProxyLocation;
  /** Absent: it reaches what all others do. */
  readonly vantage?: Vantage;
}

/** A Secret of a gateway's namespace as an SDS resource, with what is wrong with it. */
export type CredentialReader = (
  resourceName: string,
  lookup: (name: string, namespace: string | undefined) => Secret | undefined,
) => {
  readonly secret: EncodedResource | undefined;
  readonly problems: readonly Pick<Problem, 'path' | 'reason' | 'severity' | 'message'>[];
};

interface Plan {
  readonly merged: MergedGateways;
  readonly gateways: readonly MeshGateway[];
  /** Hosts and ports that routes name, `host|port`. */
  readonly destinations: readonly string[];
  /** SDS names. */
  readonly credentials: readonly string[];
}

export class GatewayPart extends SnapshotPart {
  private readonly disposables: { dispose(): void }[] = [];

  /** Without `readCredential` it holds no secrets: for callers whose transport does not keep them secret. */
  constructor(t: Translation, id: string, scope: GatewayScope, touched: Touched, readCredential: CredentialReader | undefined) {
    super(id, touched);
    const { mesh } = t;
    const own = <D extends { dispose(): void }>(d: D): D => {
      this.disposables.push(d);
      return d;
    };
    const reads = [
      mesh.services,
      mesh.endpoints,
      mesh.gateways,
      mesh.virtualServices,
      mesh.destinationRules,
      mesh.authorizationPolicies,
      t.identities,
    ];
    const only = own(new KeySet(mesh.graph, []).addFixed(['gateway']));
    const plans = own(
      new Derived<string, Plan>({
        name: `${id} plan`,
        feature: 'gateway',
        from: only,
        reads,
        compute: () => plan(t, scope),
        onFault: t.onFault,
      }),
    );
    const lists = (
      name: string,
      from: KeySource<string>,
      translate: (key: string, problems: Problem[]) => readonly Encoded[],
    ): ResourceLists<string> => own(resourceLists<string>(t, `${id} ${name}`, from, [...reads, plans], translate));

    this.follow(
      listenerType,
      lists('listeners', only, (_key, problems) => {
        const planned = plans.get('gateway');
        if (planned === undefined) return [];
        const policies = mesh.authorizationOf(scope.namespace, scope.labels, 'router');
        const built = buildGatewayListeners({
          merged: planned.merged,
          policies,
          mesh: mesh.objects.meshConfig(),
          secrets: t.capabilities.secrets,
        });
        problems.push(...planned.merged.problems, ...built.problems);
        const objects: ObjectKey[] = [...planned.gateways.map((g) => g.object), ...policies.map((p) => p.object)];
        return built.resources.map((listener) => t.encoder.encode(ListenerSchema, listener.name, listener, objects, problems));
      }),
    );

    const tables = own(new KeySet(mesh.graph, [plans])).addLists(plans, (p) => serversByRouteName(p.merged).keys());
    this.follow(
      routeType,
      lists('tables', tables, (name, problems) => {
        const planned = plans.get('gateway');
        const servers = planned === undefined ? undefined : serversByRouteName(planned.merged).get(name);
        if (servers === undefined) return [];
        const objects: ObjectKey[] = servers.map((s) => s.gateway.object);
        const route = buildGatewayRoute({
          routeName: name,
          servers,
          virtualServices: (gateway) => {
            const bound = virtualServicesOf(t, gateway, scope.namespace);
            objects.push(...bound.map((v) => v.object));
            return bound;
          },
          context: routeContext(t, { namespace: scope.namespace, labels: scope.labels }, 0),
        });
        return [t.encoder.encode(RouteConfigurationSchema, name, route, objects, problems)];
      }),
    );

    const destinations = own(new KeySet(mesh.graph, [plans])).addLists(plans, (p) => p.destinations);
    const split = (key: string): { host: string; port: number } => ({
      host: key.slice(0, key.lastIndexOf('|')),
      port: Number(key.slice(key.lastIndexOf('|') + 1)),
    });
    this.follow(
      clusterType,
      lists('clusters', destinations, (key, problems) => {
        const { host, port } = split(key);
        return hostClusters(t, scope.namespace, host, problems, { proxyType: 'router', port });
      }),
    );
    this.follow(
      endpointType,
      lists('endpoints', destinations, (key, problems) => {
        const { host, port } = split(key);
        return hostEndpoints(t, scope.namespace, host, problems, {
          proxyType: 'router',
          port,
          proxy: scope.location,
          ...(scope.vantage !== undefined && { vantage: scope.vantage }),
        });
      }),
    );
    this.follow(
      clusterType,
      lists('specialClusters', only, (_key, problems) => {
        const cluster = buildBlackHoleCluster(mesh.objects.meshConfig());
        return [t.encoder.encode(ClusterSchema, cluster.name, cluster, [], problems)];
      }),
    );

    if (readCredential === undefined) return;
    const credentials = own(new KeySet(mesh.graph, [plans])).addLists(plans, (p) => p.credentials);
    this.follow(
      secretType,
      lists('credentials', credentials, (name, problems) => {
        const lookup = (secret: string, namespace: string | undefined): Secret | undefined =>
          // Only Secrets of its own namespace are for a gateway to have.
          namespace === undefined || namespace === scope.namespace
            ? mesh.objects.kinds.Secret.get(`${scope.namespace}/${secret}`)
            : undefined;
        const read = readCredential(name, lookup);
        const gateways = plans.get('gateway')?.gateways.filter((g) => credentialsOf(g).includes(name)) ?? [];
        for (const gateway of gateways)
          problems.push(...read.problems.map((p) => ({ ...p, object: gateway.object, message: `credential ${name}: ${p.message}` })));
        return [read.secret];
      }),
    );
  }

  protected override featureOf(type: TypeUrl): Feature {
    return type === secretType ? 'secrets' : 'gateway';
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}

function plan(t: Translation, scope: GatewayScope): Plan {
  const { mesh } = t;
  const gateways = gatewaysOf(t, scope);
  const bindPort = portMapping(t, scope);
  const merged = mergeGateways(
    gateways.map((gateway) => ({ gateway, bindPort })),
    wildcard,
  );
  const destinations = new Set<string>();
  for (const gateway of gateways) {
    for (const routes of virtualServicesOf(t, gateway.key, scope.namespace)) {
      for (const http of routes.http) {
        for (const { destination } of http.route ?? []) {
          const service = mesh.serviceAt(destination.host, scope.namespace);
          if (service === undefined) continue;
          // A missing port is the service's only one, or the port at which the gateway was asked.
          for (const port of service.ports)
            if (destination.port?.number === undefined || destination.port.number === port.number)
              destinations.add(`${service.host}|${port.number}`);
        }
      }
    }
  }
  return { merged, gateways, destinations: [...destinations].sort(), credentials: [...new Set(gateways.flatMap(credentialsOf))].sort() };
}

function credentialsOf(gateway: MeshGateway): string[] {
  return (gateway.spec.servers ?? []).flatMap((server) => {
    const name = server.tls?.credentialName;
    if (name === undefined || name === '') return [];
    const mode = server.tls?.mode;
    return mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL'
      ? [`kubernetes://${name}`, `kubernetes://${name}-cacert`]
      : [`kubernetes://${name}`];
  });
}

/** Gateways whose selector matches the proxy, from every namespace as in Istio, the oldest first. */
function gatewaysOf(t: Translation, scope: GatewayScope): MeshGateway[] {
  const found = new Map<string, MeshGateway>();
  const candidates = new Set<string>(t.mesh.gatewaysBySelector.keys(''));
  for (const [k, v] of Object.entries(scope.labels)) for (const key of t.mesh.gatewaysBySelector.keys(`${k}=${v}`)) candidates.add(key);
  for (const key of candidates) {
    const gateway = t.mesh.gateways.get(key);
    if (gateway !== undefined && matchesLabels(gateway.spec.selector ?? {}, scope.labels)) found.set(key, gateway);
  }
  const created = (g: MeshGateway): string => t.mesh.objects.kinds.Gateway.get(g.key)?.creationTimestamp ?? '';
  return [...found.values()].sort((a, b) => (created(a) < created(b) ? -1 : created(a) > created(b) ? 1 : a.key < b.key ? -1 : 1));
}

/** Where a Service in front of the gateway leads a port to. */
function portMapping(t: Translation, scope: GatewayScope): (port: number) => number {
  const mapping = new Map<number, number>();
  for (const service of t.mesh.servicesOf(scope.namespace, scope.labels)) {
    for (const port of service.ports) {
      const number = workloadPort(port, scope);
      if (number !== undefined && !mapping.has(port.number)) mapping.set(port.number, number);
    }
  }
  return (port) => mapping.get(port) ?? port;
}

function virtualServicesOf(t: Translation, gateway: string, namespace: string): MeshVirtualService[] {
  return [...t.mesh.virtualServicesByGateway.keys(gateway)]
    .map((key) => t.mesh.virtualServices.get(key))
    .filter((v) => v !== undefined)
    .filter((v) => visibleFrom(v.exportTo, namespace))
    .sort((a, b) => {
      const ca = a.creationTimestamp ?? '';
      const cb = b.creationTimestamp ?? '';
      return ca !== cb ? (ca < cb ? -1 : 1) : a.object < b.object ? -1 : 1;
    });
}
