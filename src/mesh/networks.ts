/** Which network an endpoint is on, and by which gateways those on other networks reach it. Source: Istio, pilot/pkg/serviceregistry/kube/controller/network.go. */
import ipaddr from 'ipaddr.js';
import type { KubernetesService } from '../apis/kubernetes-service.ts';
import type { MeshNetworks } from '../apis/mesh-networks.ts';
import type { Namespace } from '../apis/namespace.ts';
import type { Node } from '../apis/node.ts';
import { inCluster, keyOf } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { sameJson } from '../lib/json.ts';
import { matchesLabels, type Labels } from '../lib/labels.ts';
import { Derived, type Index } from '../store/collection.ts';
import { KeySet } from '../store/keys.ts';
import type { Objects } from './objects.ts';
import { clusterDomain } from './services.ts';

export const networkLabel = 'topology.istio.io/network';
const portLabel = 'networking.istio.io/gatewayPort';
const defaultPort = 15443;

export interface NetworkGateway {
  readonly network: string;
  /** Id of the cluster that it is in; empty where nobody says. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
}

/** All gateways, ordered by address and port. */
export interface NetworkGateways {
  readonly byNetwork: Readonly<Record<string, readonly NetworkGateway[]>>;
  /** By `network|cluster`. */
  readonly byCluster: Readonly<Record<string, readonly NetworkGateway[]>>;
  /** By what weights are multiplied, so that they divide among the gateways of any network. */
  readonly scale: number;
}

/** Those of the endpoint's own cluster where there are any, else those of its network. */
export function gatewaysFor({ byNetwork, byCluster }: NetworkGateways, network: string, cluster: string): readonly NetworkGateway[] {
  return byCluster[`${network}|${cluster}`] ?? byNetwork[network] ?? [];
}

interface Joined {
  readonly gateways: NetworkGateways | undefined;
  readonly problems: readonly Problem[];
}

export class Networks {
  private readonly objects: Objects;
  private readonly clusterId: string;
  /** Labels of namespaces, by `/name`. */
  private readonly ofNamespaces: Derived<Namespace, string>;
  /** Nodes that are reached from outside, by cluster. */
  private readonly nodes: Index<Node>;
  /** Bucket `gateway`: Services that are labelled as one. */
  private readonly services: Index<KubernetesService>;
  private readonly joined: Derived<string, Joined>;
  /** Whether anybody but endpoints themselves says of networks: one question for each service where nobody does. */
  private readonly named: Derived<string, true>;

  constructor(objects: Objects, clusterId: string, onFault: (collection: string, key: string, error: unknown) => void) {
    const { graph, kinds } = objects;
    this.objects = objects;
    this.clusterId = clusterId;
    this.ofNamespaces = new Derived<Namespace, string>({
      name: 'namespaceNetworks',
      from: kinds.Namespace,
      compute: (_key, o) => o.labels[networkLabel],
      equals: Object.is,
      onFault,
    });
    this.nodes = kinds.Node.index((o) => (externalAddress(o.spec.status?.addresses) === undefined ? [] : [o.origin.cluster ?? '']));
    this.services = kinds.Service.index((o) => ((o.labels[networkLabel] ?? '') === '' ? [] : ['gateway']));
    const labelled = kinds.Namespace.index((o) => ((o.labels[networkLabel] ?? '') === '' ? [] : ['labelled']));
    this.named = new Derived<string, true>({
      name: 'networksNamed',
      from: new KeySet(graph, []).addFixed(['mesh']),
      compute: () => (labelled.has('labelled') || Object.keys(objects.meshNetworks().networks ?? {}).length > 0 ? true : undefined),
      equals: Object.is,
      onFault,
    });
    this.joined = new Derived<string, Joined>({
      name: 'networks',
      from: new KeySet(graph, []).addFixed(['mesh']),
      compute: () => this.join(),
      equals: sameJson,
      onFault,
    });
  }

  get level(): number {
    return this.joined.level;
  }

  /** Undefined where there are none: then everything is reached directly. Recorded. */
  gateways(): NetworkGateways | undefined {
    return this.joined.get('mesh')?.gateways;
  }

  /** The network of an endpoint: by its own label, its cluster's label on the root namespace, MeshNetworks; empty where nobody says. Recorded. */
  networkOf(cluster: string | undefined, address: string, labels: Labels): string {
    const own = labels[networkLabel] ?? '';
    if (own !== '') return own;
    if (this.named.get('mesh') === undefined) return '';
    const ofCluster = this.ofNamespaces.get(`/${this.objects.meshConfig().rootNamespace}${inCluster(cluster)}`) ?? '';
    return ofCluster === '' ? fromConfiguration(this.objects.meshNetworks(), cluster ?? this.clusterId, address) : ofCluster;
  }

  /** Told of what is wrong with the Services of gateways; an empty list when it is mended. */
  onProblems(handler: (problems: readonly Problem[]) => void): void {
    this.joined.listen((_key, now) => handler(now?.problems ?? []));
  }

  /** Gateways that a Service is, with what is wrong with it. */
  private gatewaysOf(object: KubernetesService, problems: Problem[]): NetworkGateway[] {
    const doors = this.doorsOf(object);
    if (doors.length === 0) return [];
    const cluster = object.origin.cluster ?? this.clusterId;
    const { addresses, nodePorts } = this.externalAddresses(object);
    const problem = (path: string, message: string): Problem => ({
      object: keyOf(object),
      path,
      reason: 'NotTranslated',
      severity: 'warning',
      message,
    });
    const gateways: NetworkGateway[] = [];
    for (const { network, port } of doors) {
      if (port === undefined) {
        problems.push(
          problem(
            'spec.ports',
            `labelled as the gateway of network ${network}, and has no port ${defaultPort}: set the label ${portLabel}`,
          ),
        );
        continue;
      }
      for (const address of addresses) {
        if (ipaddr.isValid(address)) gateways.push({ network, cluster, address, port: nodePorts.get(port) ?? port });
        else
          problems.push(
            problem(
              'status.loadBalancer.ingress',
              `names are not resolved here, so that nothing goes by ${address}: name addresses in MeshNetworks`,
            ),
          );
      }
    }
    return gateways;
  }

  /** Networks that the Service is a gateway of, with its port for them; without one where it does not have the port that it should. */
  private doorsOf({ name, namespace, labels, spec, origin }: KubernetesService): { readonly network: string; readonly port?: number }[] {
    const labelled = labels[networkLabel] ?? '';
    if (labelled !== '') {
      const wanted = Number.parseInt(labels[portLabel] ?? '', 10) || defaultPort;
      return [{ network: labelled, ...((spec.ports ?? []).some(({ port }) => port === wanted) && { port: wanted }) }];
    }
    const cluster = origin.cluster ?? this.clusterId;
    return Object.entries(this.objects.meshNetworks().networks ?? {}).flatMap(([network, { endpoints = [], gateways = [] }]) =>
      endpoints.some(({ fromRegistry }) => fromRegistry === cluster)
        ? gateways
            .filter(({ registryServiceName }) => registryServiceName === `${name}.${namespace}.svc.${clusterDomain}`)
            .map(({ port = defaultPort }) => ({ network, port }))
        : [],
    );
  }

  /** A NodePort that names its nodes is reached at their addresses and its node ports, any other Service at what load balancer and `externalIPs` give it. */
  private externalAddresses(object: KubernetesService): {
    readonly addresses: readonly string[];
    readonly nodePorts: ReadonlyMap<number, number>;
  } {
    const { spec, status } = object;
    const selector = object.annotations['traffic.istio.io/nodeSelector'];
    if (spec.type === 'NodePort' && selector !== undefined) {
      const nodePorts = new Map(
        (spec.ports ?? []).flatMap(({ port, nodePort }) => (nodePort === undefined ? [] : [[port, nodePort] as const])),
      );
      return { addresses: this.nodeAddresses(object.origin.cluster, nodeLabels(selector)), nodePorts };
    }
    const ingress =
      spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '') : [];
    return { addresses: [...new Set([...ingress, ...(spec.externalIPs ?? [])])].filter((a) => a !== ''), nodePorts: new Map() };
  }

  private nodeAddresses(cluster: string | undefined, selector: Labels | undefined): string[] {
    if (selector === undefined) return [];
    const found: string[] = [];
    for (const key of this.nodes.keys(cluster ?? '')) {
      const node = this.objects.kinds.Node.get(key);
      const address = externalAddress(node?.spec.status?.addresses);
      if (node !== undefined && address !== undefined && matchesLabels(selector, node.labels)) found.push(address);
    }
    return found.sort();
  }

  /** Services by which MeshNetworks names gateways, in each cluster of the network. Few: they are read one by one. */
  private configured(): string[] {
    return Object.values(this.objects.meshNetworks().networks ?? {}).flatMap(({ endpoints = [], gateways = [] }) =>
      gateways.flatMap(({ registryServiceName = '' }) => {
        const [name = '', namespace = ''] = registryServiceName.split('.');
        const clusters = endpoints.map(({ fromRegistry }) => fromRegistry).filter((id) => id !== undefined && id !== '');
        return clusters.map((id) => `${namespace}/${name}${inCluster(id === this.clusterId ? undefined : id)}`);
      }),
    );
  }

  private join(): Joined {
    const all = new Map<string, NetworkGateway>();
    const problems: Problem[] = [];
    const add = (gateway: NetworkGateway): void => void all.set(JSON.stringify(gateway), gateway);
    for (const [network, { gateways = [] }] of Object.entries(this.objects.meshNetworks().networks ?? {})) {
      for (const { address = '', port = defaultPort } of gateways)
        if (ipaddr.isValid(address)) add({ network, cluster: '', address, port });
    }
    for (const key of new Set([...this.services.keys('gateway'), ...this.configured()])) {
      const service = this.objects.kinds.Service.get(key);
      if (service !== undefined) for (const gateway of this.gatewaysOf(service, problems)) add(gateway);
    }
    if (all.size === 0) return { gateways: undefined, problems };
    const sorted = [...all.values()].sort(
      (a, b) => compare(a.address, b.address) || a.port - b.port || compare(a.network, b.network) || compare(a.cluster, b.cluster),
    );
    const byNetwork = group(sorted, ({ network }) => network);
    const byCluster = group(sorted, ({ network, cluster }) => `${network}|${cluster}`);
    const counts = [...Object.values(byNetwork), ...Object.values(byCluster)].map((gateways) => gateways.length);
    return { gateways: { byNetwork, byCluster, scale: counts.reduce(leastCommonMultiple, 1) }, problems };
  }
}

interface Compiled {
  readonly byCluster: ReadonlyMap<string, string>;
  /** The narrowest first. */
  readonly ranges: readonly { readonly network: string; readonly range: ReturnType<typeof ipaddr.parseCIDR> }[];
}

const compiled = new WeakMap<MeshNetworks, Compiled>();

function fromConfiguration(networks: MeshNetworks, cluster: string, address: string): string {
  let known = compiled.get(networks);
  if (known === undefined) compiled.set(networks, (known = compile(networks)));
  const ofCluster = known.byCluster.get(cluster);
  if (ofCluster !== undefined || known.ranges.length === 0 || !ipaddr.isValid(address)) return ofCluster ?? '';
  const parsed = ipaddr.process(address);
  return known.ranges.find(({ range: [base, bits] }) => base.kind() === parsed.kind() && parsed.match(base, bits))?.network ?? '';
}

function compile({ networks = {} }: MeshNetworks): Compiled {
  const byCluster = new Map<string, string>();
  const ranges: Compiled['ranges'][number][] = [];
  for (const [network, { endpoints = [] }] of Object.entries(networks).sort(([a], [b]) => compare(a, b))) {
    for (const { fromRegistry = '', fromCidr = '' } of endpoints) {
      if (fromRegistry !== '' && !byCluster.has(fromRegistry)) byCluster.set(fromRegistry, network);
      if (fromCidr !== '') ranges.push({ network, range: ipaddr.parseCIDR(fromCidr) });
    }
  }
  return { byCluster, ranges: ranges.sort((a, b) => b.range[1] - a.range[1]) };
}

function externalAddress(addresses: readonly { readonly type?: string; readonly address?: string }[] | undefined): string | undefined {
  return addresses?.find(({ type, address = '' }) => type === 'ExternalIP' && address !== '')?.address;
}

/** `{}` is every node; undefined: nothing that can be read, and so none. */
function nodeLabels(annotation: string): Labels | undefined {
  try {
    const value: unknown = JSON.parse(annotation === '' ? '{}' : annotation);
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isMap && Object.values(value).every((v) => typeof v === 'string') ? (value as Labels) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function group<T>(list: readonly T[], keyOf: (value: T) => string): Record<string, T[]> {
  // Names come from labels of any namespace: `constructor` is one like any other.
  const groups = Object.create(null) as Record<string, T[]>;
  for (const value of list) (groups[keyOf(value)] ??= []).push(value);
  return groups;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
