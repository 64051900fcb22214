/** The model of the mesh as collections: services, endpoints, rules, policies, each derived from the objects by what it reads. */
import type { AuthorizationPolicy } from '../apis/authorization-policy.ts';
import type { DestinationRule } from '../apis/destination-rule.ts';
import type { EndpointSlice } from '../apis/endpoint-slice.ts';
import type { Gateway } from '../apis/gateway.ts';
import type { Namespace } from '../apis/namespace.ts';
import type { Node } from '../apis/node.ts';
import { byAge, inCluster, keyOf, type ObjectKey } from '../apis/object.ts';
import type { PeerAuthentication } from '../apis/peer-authentication.ts';
import type { Pod } from '../apis/pod.ts';
import type { RequestAuthentication } from '../apis/request-authentication.ts';
import type { ServiceEntry } from '../apis/service-entry.ts';
import type { Sidecar } from '../apis/sidecar.ts';
import type { VirtualService } from '../apis/virtual-service.ts';
import type { WorkloadEntry } from '../apis/workload-entry.ts';
import { Derived, MemoTable, type Index } from '../store/collection.ts';
import type { Graph } from '../store/graph.ts';
import { Flat } from '../store/keys.ts';
import { Aliases } from './aliases.ts';
import { isClusterLocal } from './cluster-local.ts';
import { serviceEndpoints, sameEndpoints, type ServiceEndpoints } from './endpoints.ts';
import { Extensions } from './extensions.ts';
import { hostCandidates } from '../lib/host.ts';
import { sameJson } from '../lib/json.ts';
import { firstPair, matchesLabels } from '../lib/labels.ts';
import { isLazy, lazyLabel, lazyMetadata } from './lazy.ts';
import { nodeLabel } from './locality.ts';
import type {
  Locality,
  MeshAuthorizationPolicy,
  MeshDestinationRule,
  MeshGateway,
  MeshVirtualService,
  MtlsMode,
  Proxy,
  Service,
  Workload,
} from './model.ts';
import { Networks } from './networks.ts';
import type { Objects } from './objects.ts';
import { fromPod, nodeLocality, sameLocality, sameWorkload } from './pods.ts';
import { mergeRules, meshDestinationRule, meshVirtualService } from './routing.ts';
import { fromKubernetesService, fromServiceEntry, visibleFrom } from './services.ts';
import { serviceOfSlice } from './slices.ts';
import { trafficDistributionAnnotation } from './traffic-distribution.ts';
import { narrowest, strictest, tagsOf } from './undecided.ts';
import { fromWorkloadEntry } from './workloads.ts';

export interface MeshOptions {
  readonly onFault: (collection: string, key: string, error: unknown) => void;
  /** Paths of an AuthorizationPolicy's fields that are not translated. */
  readonly untranslated: (object: AuthorizationPolicy) => readonly string[];
  /** Of the cluster whose configuration is read. Default `Kubernetes`. */
  readonly clusterId?: string;
  /** The remote cluster from which the mesh is seen; absent: the one whose configuration is read. */
  readonly cluster?: string;
  /** The same mesh as seen from elsewhere, of which everything is taken that does not depend on the cluster. */
  readonly like?: Mesh;
}

/** mTLS modes of a workload's ports and the policies that say so. */
export interface PeerAuthenticationResult {
  readonly mode: MtlsMode;
  readonly ports: Readonly<Record<number, MtlsMode>>;
}

export class Mesh {
  readonly graph: Graph;
  readonly objects: Objects;
  readonly networks: Networks;
  readonly aliases: Aliases;
  readonly clusterId: string;
  /** The remote cluster from which it is seen, whose Services count before those of others. */
  readonly cluster: string | undefined;
  /** By `namespace/host`. Two objects of one namespace may declare one host: the oldest shows. */
  readonly services: Flat<Service>;
  readonly servicesByHost: Index<Service>;
  /** Services by each pattern that covers their host. */
  readonly servicesByPattern: Index<Service>;
  /** By `namespace|pattern`, as a Sidecar's egress hosts ask. */
  readonly servicesByNamespacePattern: Index<Service>;
  readonly servicesByAddress: Index<Service>;
  /** Services with a selector, by `namespace|key=value` of its first pair. */
  readonly servicesBySelector: Index<Service>;
  readonly workloads: Derived<WorkloadEntry, Workload>;
  readonly workloadsByNamespace: Index<Workload>;
  readonly workloadsByLabel: Index<Workload>;
  readonly workloadsByAddress: Index<Workload>;
  /** Where nodes are, by `/name`; of a remote cluster, as for pods, with `@cluster` behind it. */
  readonly nodes: Derived<Node, Locality>;
  /** Pods that run or start, by `namespace/name`. */
  readonly pods: Derived<Pod, Workload>;
  readonly podsByLabel: Index<Workload>;
  readonly podsByAddress: Index<Workload>;
  /** EndpointSlices by `namespace/service`. */
  readonly slicesByService: Index<EndpointSlice>;
  /** By service key. */
  readonly endpoints: Derived<Service, ServiceEndpoints>;
  private readonly endpointsByFamily: Index<ServiceEndpoints>;
  readonly virtualServices: Derived<VirtualService, MeshVirtualService>;
  /** VirtualServices of gateway `mesh`, by host or wildcard as written. */
  readonly meshRoutesByHost: Index<MeshVirtualService>;
  /** Those of gateway `mesh`, by `namespace|pattern` and `*|pattern`. */
  readonly meshRoutesByNamespacePattern: Index<MeshVirtualService>;
  readonly virtualServicesByGateway: Index<MeshVirtualService>;
  readonly destinationRules: Derived<DestinationRule, MeshDestinationRule>;
  readonly rulesByHost: Index<MeshDestinationRule>;
  /** Bucket `node`: services whose endpoints depend on the client's node. */
  private readonly servicesByReach: Index<Service>;
  /** Label keys by which any rule's failoverPriority compares client and endpoint. */
  private readonly failoverLabels: Index<MeshDestinationRule>;
  readonly gateways: Derived<Gateway, MeshGateway>;
  /** By `key=value` of the selector's first pair; empty: selects every gateway proxy. */
  readonly gatewaysBySelector: Index<MeshGateway>;
  readonly authorizationPolicies: Derived<AuthorizationPolicy, MeshAuthorizationPolicy>;
  private readonly authorizationBySelector: Index<MeshAuthorizationPolicy>;
  private readonly requestAuthenticationBySelector: Index<RequestAuthentication>;
  private readonly peerAuthenticationBySelector: Index<PeerAuthentication>;
  private readonly sidecarsBySelector: Index<Sidecar>;
  private readonly extensions: Extensions;
  /** What the label of lazy mode says, of namespaces that have it. */
  private readonly lazyNamespaces: Derived<Namespace, string>;
  private readonly distributions: Derived<Namespace, string>;
  private readonly fromEntries: Derived<ServiceEntry, readonly Service[]>;
  private readonly mergedRules: MemoTable<MeshDestinationRule | undefined>;
  /** Label keys that any VirtualService matches clients by. */
  readonly sourceLabelKeys: Index<MeshVirtualService>;
  /** What is not taken from `like`, each after what it reads. */
  private readonly own: readonly { dispose(): void }[];

  constructor(objects: Objects, options: MeshOptions) {
    const graph = objects.graph;
    const { kinds } = objects;
    const { onFault, like } = options;
    this.graph = graph;
    this.objects = objects;
    this.clusterId = options.clusterId ?? 'Kubernetes';
    this.cluster = options.cluster;
    // Only services and what is made of them depend on the cluster from which they are seen.
    this.networks = like?.networks ?? new Networks(objects, this.clusterId, onFault);
    this.aliases = like?.aliases ?? new Aliases(objects);

    // What a namespace says to its services apart from all else that changes in it.
    this.distributions =
      like?.distributions ??
      new Derived<Namespace, string>({
        name: 'namespaceTrafficDistributions',
        from: kinds.Namespace,
        compute: (_k, o) => o.annotations[trafficDistributionAnnotation],
        equals: Object.is,
        onFault,
      });
    this.lazyNamespaces =
      like?.lazyNamespaces ??
      new Derived<Namespace, string>({
        name: 'lazyNamespaces',
        from: kinds.Namespace,
        compute: (_k, o) => o.labels[lazyLabel],
        equals: Object.is,
        onFault,
      });
    const fromKubernetes = new Derived({
      name: 'kubernetesServices',
      from: kinds.Service,
      reads: [this.distributions],
      compute: (_k, o) => {
        if (this.aliases.isAlias(o)) return undefined;
        const service = fromKubernetesService(o, objects.meshConfig(), () =>
          this.distributions.get(`/${o.namespace}${inCluster(o.origin.cluster)}`),
        );
        return service.cluster === this.cluster || !isClusterLocal(service.host, objects.meshConfig()) ? [service] : undefined;
      },
      // Much may change in an object, or come beside it, that makes no other service.
      equals: sameJson,
      onFault,
    });
    this.fromEntries =
      like?.fromEntries ??
      new Derived<ServiceEntry, readonly Service[]>({
        name: 'serviceEntries',
        from: kinds.ServiceEntry,
        reads: [this.distributions],
        compute: (_k, o) => fromServiceEntry(o, objects.meshConfig(), () => this.distributions.get(`/${o.namespace}`)),
        equals: sameJson,
        onFault,
      });
    this.services = new Flat<Service>({
      graph,
      name: 'services',
      from: [fromKubernetes, this.fromEntries],
      keyOf: (s) => s.key,
      // Several clusters have one service: the ports and attributes are those of the nearest.
      better: (a, b) => this.nearer(a, b) || preferService(a, b),
      objectOf: (s) => s.object,
    });
    this.servicesByHost = this.services.index((s) => [s.host]);
    this.servicesByPattern = this.services.index((s) => hostCandidates(s.host));
    this.servicesByNamespacePattern = this.services.index((s) => hostCandidates(s.host).map((pattern) => `${s.namespace}|${pattern}`));
    this.servicesByAddress = this.services.index((s) => s.addresses);
    this.servicesByReach = this.services.index((s) => (reachesNode(s) ? ['node'] : []));
    this.servicesBySelector = this.services.index((s) => {
      const pair = s.selector === undefined ? undefined : firstPair(s.selector);
      return pair === undefined ? [] : [`${s.namespace}|${pair}`];
    });

    this.workloads =
      like?.workloads ?? new Derived({ name: 'workloads', from: kinds.WorkloadEntry, compute: (_k, o) => fromWorkloadEntry(o), onFault });
    this.workloadsByNamespace = like?.workloadsByNamespace ?? this.workloads.index((w) => [w.namespace]);
    this.workloadsByLabel =
      like?.workloadsByLabel ?? this.workloads.index((w) => Object.entries(w.labels).map(([k, v]) => `${w.namespace}|${k}=${v}`));
    this.workloadsByAddress = like?.workloadsByAddress ?? this.workloads.index((w) => w.addresses);

    this.nodes =
      like?.nodes ??
      new Derived<Node, Locality>({
        name: 'nodes',
        from: kinds.Node,
        compute: (_k, o) => nodeLocality(o),
        equals: sameLocality,
        onFault,
      });
    this.pods =
      like?.pods ??
      new Derived<Pod, Workload>({
        name: 'pods',
        from: kinds.Pod,
        reads: [this.nodes],
        compute: (_k, o) => fromPod(o, (name) => this.nodes.get(`/${name}${inCluster(o.origin.cluster)}`)),
        equals: sameWorkload,
        onFault,
      });
    this.podsByLabel = like?.podsByLabel ?? this.pods.index((w) => Object.entries(w.labels).map(([k, v]) => `${w.namespace}|${k}=${v}`));
    this.podsByAddress = like?.podsByAddress ?? this.pods.index((w) => w.addresses);
    this.slicesByService = like?.slicesByService ?? kinds.EndpointSlice.index(serviceOfSlice);

    this.peerAuthenticationBySelector =
      like?.peerAuthenticationBySelector ?? kinds.PeerAuthentication.index((o) => [selectorKey(o.namespace, o.spec.selector?.matchLabels)]);
    this.requestAuthenticationBySelector =
      like?.requestAuthenticationBySelector ??
      kinds.RequestAuthentication.index((o) => [selectorKey(o.namespace, o.spec.selector?.matchLabels)]);
    this.sidecarsBySelector =
      like?.sidecarsBySelector ?? kinds.Sidecar.index((o) => [selectorKey(o.namespace, o.spec.workloadSelector?.labels)]);

    this.endpoints = new Derived<Service, ServiceEndpoints>({
      name: 'endpoints',
      from: this.services,
      reads: [this.workloads, this.pods, this.networks],
      compute: (_key, service) => serviceEndpoints(this, service),
      equals: sameEndpoints,
      onFault,
    });

    this.endpointsByFamily = this.endpoints.index(familiesOf);

    this.virtualServices =
      like?.virtualServices ??
      new Derived({
        name: 'virtualServices',
        from: kinds.VirtualService,
        compute: (_k, o) => meshVirtualService(o, objects.meshConfig()),
        onFault,
      });
    this.meshRoutesByHost =
      like?.meshRoutesByHost ?? this.virtualServices.index((v) => (v.gateways.includes('mesh') && v.http.length > 0 ? v.hosts : []));
    this.meshRoutesByNamespacePattern =
      like?.meshRoutesByNamespacePattern ??
      this.virtualServices.index((v) =>
        v.gateways.includes('mesh') ? new Set(v.hosts.flatMap(hostCandidates).flatMap((p) => [`${v.namespace}|${p}`, `*|${p}`])) : [],
      );
    this.virtualServicesByGateway =
      like?.virtualServicesByGateway ?? this.virtualServices.index((v) => v.gateways.filter((g) => g !== 'mesh'));

    this.sourceLabelKeys =
      like?.sourceLabelKeys ??
      this.virtualServices.index((v) => [
        ...new Set(v.http.flatMap((r) => r.match ?? []).flatMap((m) => Object.keys(m.sourceLabels ?? {}))),
      ]);

    this.destinationRules =
      like?.destinationRules ??
      new Derived({
        name: 'destinationRules',
        from: kinds.DestinationRule,
        compute: (_k, o) => (o.spec.workloadSelector === undefined ? meshDestinationRule(o, objects.meshConfig()) : undefined),
        onFault,
      });
    this.rulesByHost = like?.rulesByHost ?? this.destinationRules.index((r) => [`${r.namespace}|${r.host}`]);
    this.failoverLabels = like?.failoverLabels ?? this.destinationRules.index((r) => new Set(failoverPriorities(r)));
    this.mergedRules = like?.mergedRules ?? new MemoTable(graph, [this.destinationRules], (key) => this.mergeAt(key));

    this.gateways =
      like?.gateways ??
      new Derived<Gateway, MeshGateway>({
        name: 'gateways',
        from: kinds.Gateway,
        compute: (_k, o) => ({ object: keyOf(o), key: `${o.namespace}/${o.name}`, name: o.name, namespace: o.namespace, spec: o.spec }),
        onFault,
      });
    this.gatewaysBySelector = like?.gatewaysBySelector ?? this.gateways.index((g) => [firstPair(g.spec.selector ?? {}) ?? '']);

    this.authorizationPolicies =
      like?.authorizationPolicies ??
      new Derived({
        name: 'authorizationPolicies',
        feature: 'policies',
        from: kinds.AuthorizationPolicy,
        compute: (_k, o): MeshAuthorizationPolicy => ({
          object: keyOf(o),
          name: o.name,
          namespace: o.namespace,
          spec: o.spec,
          dryRun: /^(1|t|true)$/i.test(o.annotations['istio.io/dry-run'] ?? ''),
          untranslated: o.unreadable === true ? ['spec'] : options.untranslated(o),
          ...(o.undecidedTag !== undefined && { undecidedTag: o.undecidedTag }),
        }),
        onFault,
      });
    this.extensions = like?.extensions ?? new Extensions(objects, onFault);
    this.authorizationBySelector =
      like?.authorizationBySelector ?? this.authorizationPolicies.index((p) => [selectorKey(p.namespace, p.spec.selector?.matchLabels)]);
    this.own = [fromKubernetes, this.services, this.endpoints];
  }

  /** Ends what depends on the cluster from which it is seen; for a mesh that is like another. Nothing may read it any more. */
  dispose(): void {
    for (const collection of this.own.toReversed()) collection.dispose();
  }

  /** Service of a host as seen from a namespace: its own first, then Kubernetes' and the oldest. `undefined`: seen by all. */
  serviceAt(host: string, namespace: string | undefined): Service | undefined {
    let best: Service | undefined;
    for (const key of this.servicesByHost.keys(host)) {
      const service = this.services.get(key);
      if (service === undefined || !visibleFrom(service.exportTo, namespace)) continue;
      if (best === undefined || preferFrom(service, best, namespace) < 0) best = service;
    }
    return best;
  }

  /** Own cluster, the one whose configuration is read, others; 0 also where the two are not both of Kubernetes. */
  private nearer(a: Service, b: Service): number {
    if (a.registry !== 'Kubernetes' || b.registry !== 'Kubernetes') return 0;
    const distance = ({ cluster }: Service): number => (cluster === this.cluster ? 0 : cluster === undefined ? 1 : 2);
    return distance(a) - distance(b);
  }

  /** False where the address, being that of another cluster's service, is somebody else's here: clusters choose their addresses alone. */
  hasAddress(service: Service, address: string): boolean {
    if (service.cluster === this.cluster) return true;
    for (const key of this.servicesByAddress.keys(address)) {
      const other = this.services.get(key);
      if (other === undefined || other.key === service.key) continue;
      if ((this.nearer(other, service) || preferService(other, service)) < 0) return false;
    }
    return true;
  }

  /**
   * The DestinationRule for a service as seen from a namespace. As Istio looks: the client's namespace, the service's, the root namespace; in each the most
   * specific host.
   */
  ruleAt(service: { readonly host: string; readonly namespace: string }, namespace: string | undefined): MeshDestinationRule | undefined {
    const root = this.objects.meshConfig().rootNamespace;
    const patterns = hostCandidates(service.host);
    for (const from of new Set([...(namespace === undefined ? [] : [namespace]), service.namespace, root])) {
      for (const pattern of patterns) {
        if (!this.rulesByHost.has(`${from}|${pattern}`)) continue;
        const rule = this.mergedRules.get(`${from}|${pattern}|${namespace ?? ''}`);
        if (rule !== undefined) return rule;
      }
    }
    return undefined;
  }

  /** Whether endpoints are preferred by a label that the client has, somewhere in the mesh. Recorded. */
  comparesLabel(key: string): boolean {
    return this.failoverLabels.has(key) || (this.objects.meshConfig().localityLbSetting.failoverPriority ?? []).includes(key);
  }

  /** Whether a workload is to be in lazy mode. `label`: what its own label says. Recorded. */
  isLazy(namespace: string, label: string | undefined): boolean {
    const ofMesh = this.objects.meshConfig().defaultConfig.proxyMetadata[lazyMetadata];
    return isLazy(label, this.lazyNamespaces.get(`/${namespace}${inCluster(this.cluster)}`), ofMesh);
  }

  /** The network of a proxy that says nothing of its own: that of the cluster from which the mesh is seen. Recorded. */
  homeNetwork(): string {
    return this.networks.networkOf(this.cluster, '', {});
  }

  /** Whether there are endpoints of both address families, so that not everybody reaches all. Recorded. */
  hasBothFamilies(): boolean {
    return this.endpointsByFamily.has('ipv4') && this.endpointsByFamily.has('ipv6');
  }

  /** Whether it matters for any service on which node the client is. Recorded. */
  dependsOnNode(): boolean {
    return this.servicesByReach.has('node') || this.comparesLabel(nodeLabel);
  }

  private mergeAt(key: string): MeshDestinationRule | undefined {
    const [from = '', pattern = '', client = ''] = key.split('|');
    const rules: MeshDestinationRule[] = [];
    const objects = [];
    for (const id of this.rulesByHost.keys(`${from}|${pattern}`)) {
      const rule = this.destinationRules.get(id);
      if (rule !== undefined && (from === client || visibleFrom(rule.exportTo, client === '' ? undefined : client))) {
        rules.push(rule);
        const object = this.objects.kinds.DestinationRule.get(id);
        if (object !== undefined) objects.push(object);
      }
    }
    const age = new Map<ObjectKey, number>(objects.sort(byAge).map((o, i) => [keyOf(o), i]));
    const position = (rule: MeshDestinationRule): number => age.get(rule.objects[0] as ObjectKey) ?? 0;
    return mergeRules(rules.sort((a, b) => position(a) - position(b)));
  }

  /** The VirtualService of gateway `mesh` for a host as seen from a namespace: the most specific host, then the oldest. */
  meshRoutesAt(host: string, namespace: string | undefined): MeshVirtualService | undefined {
    for (const pattern of hostCandidates(host)) {
      if (!this.meshRoutesByHost.has(pattern)) continue;
      const found = [...this.meshRoutesByHost.keys(pattern)]
        .map((key) => this.virtualServices.get(key))
        .filter((v) => v !== undefined)
        .filter((v) => visibleFrom(v.exportTo, namespace))
        .sort(older);
      if (found[0] !== undefined) return found[0];
    }
    return undefined;
  }

  /** mTLS of a workload: port, workload, namespace, mesh; the oldest of several. Istio's default is PERMISSIVE. */
  peerAuthentication(namespace: string, labels: Readonly<Record<string, string>>): PeerAuthenticationResult {
    const { kinds } = this.objects;
    const root = this.objects.meshConfig().rootNamespace;
    const at = (ns: string): PeerAuthentication[] =>
      candidates(this.peerAuthenticationBySelector, ns, labels, (key) => kinds.PeerAuthentication.get(key)).sort(byAge);
    const own = at(namespace);
    const ofRoot = namespace === root ? own : at(root);
    // Also as if those of one tag, of which nobody knows whether it is ours, were of this revision.
    const results = [undefined, ...tagsOf([...own, ...ofRoot])].map((tag) => {
      const counts = ({ undecidedTag }: PeerAuthentication): boolean => undecidedTag === undefined || undecidedTag === tag;
      return this.peerAuthenticationBy(namespace, labels, own.filter(counts), ofRoot.filter(counts));
    });
    const [only] = results;
    return results.length === 1 && only !== undefined ? only : strictest(results);
  }

  private peerAuthenticationBy(
    namespace: string,
    labels: Readonly<Record<string, string>>,
    own: readonly PeerAuthentication[],
    ofRoot: readonly PeerAuthentication[],
  ): PeerAuthenticationResult {
    const root = this.objects.meshConfig().rootNamespace;
    const forWorkload = own.find((p) => hasSelector(p) && matchesLabels(p.spec.selector?.matchLabels ?? {}, labels));
    const forNamespace = namespace === root ? undefined : own.find((p) => !hasSelector(p));
    const forMesh = ofRoot.find((p) => !hasSelector(p));
    let mode: MtlsMode = 'PERMISSIVE';
    for (const policy of [forMesh, forNamespace, forWorkload]) {
      mode = policy?.unreadable === true ? 'STRICT' : (mtlsMode(policy?.spec.mtls?.mode) ?? mode);
    }
    const ports: Record<number, MtlsMode> = {};
    for (const [port, mtls] of Object.entries(forWorkload?.spec.portLevelMtls ?? {})) ports[Number(port)] = mtlsMode(mtls.mode) ?? mode;
    return { mode, ports };
  }

  /**
   * Policies that apply to a workload, by name. A RequestAuthentication is not translated yet, nor is an extension that may refuse: they stand here as
   * policies that cannot be, so that the workload is held back.
   */
  authorizationOf(namespace: string, labels: Readonly<Record<string, string>>, type: Proxy['type']): MeshAuthorizationPolicy[] {
    const { kinds } = this.objects;
    const root = this.objects.meshConfig().rootNamespace;
    const namespaces = [...new Set([root, namespace])];
    const policies = namespaces.flatMap((ns) =>
      candidates(this.authorizationBySelector, ns, labels, (key) => this.authorizationPolicies.get(key)),
    );
    const requests = namespaces.flatMap((ns) =>
      candidates(this.requestAuthenticationBySelector, ns, labels, (key) => kinds.RequestAuthentication.get(key)),
    );
    const held = requests.map((o): MeshAuthorizationPolicy => {
      const spec = o.spec.selector === undefined ? {} : { selector: o.spec.selector };
      return { object: keyOf(o), name: o.name, namespace: o.namespace, spec, dryRun: false, untranslated: ['spec'] };
    });
    const services = (): Service[] => this.servicesOf(namespace, labels);
    const extensions = this.extensions
      .protecting({ type, namespace, labels, services }, root)
      .map(({ extension, paths }): MeshAuthorizationPolicy => {
        const { object, name } = extension;
        return { object, name, namespace: extension.namespace, spec: {}, dryRun: false, untranslated: paths };
      });
    const matching = [...policies, ...held, ...extensions].filter((p) => matchesLabels(p.spec.selector?.matchLabels ?? {}, labels));
    return [...narrowest(matching)].sort((a, b) => (a.namespace === b.namespace ? compare(a.name, b.name) : a.namespace === root ? -1 : 1));
  }

  /** The Sidecar of a workload: the one that selects it, its namespace's, the root namespace's. */
  sidecarOf(namespace: string, labels: Readonly<Record<string, string>>): Sidecar | undefined {
    const { kinds } = this.objects;
    const at = (ns: string): Sidecar[] => candidates(this.sidecarsBySelector, ns, labels, (key) => kinds.Sidecar.get(key)).sort(byAge);
    const own = at(namespace);
    const root = this.objects.meshConfig().rootNamespace;
    return (
      own.find((s) => s.spec.workloadSelector !== undefined && matchesLabels(s.spec.workloadSelector.labels ?? {}, labels)) ??
      own.find((s) => s.spec.workloadSelector === undefined) ??
      (namespace === root ? undefined : at(root).find((s) => s.spec.workloadSelector === undefined))
    );
  }

  /** Services whose selector matches a workload, oldest first. */
  servicesOf(namespace: string, labels: Readonly<Record<string, string>>): Service[] {
    const keys = new Set<string>();
    for (const [k, v] of Object.entries(labels)) for (const key of this.servicesBySelector.keys(`${namespace}|${k}=${v}`)) keys.add(key);
    return [...keys]
      .map((key) => this.services.get(key))
      .filter((s) => s !== undefined)
      .filter((s) => matchesLabels(s.selector ?? {}, labels))
      .sort(preferService);
  }
}

/** `ipv4` and `ipv6`, those that a service has endpoints of. */
function familiesOf({ endpoints }: ServiceEndpoints): string[] {
  const families = new Set<string>();
  for (const { address } of endpoints) {
    if (families.size === 2) break;
    if (/^[\d.]+$/.test(address)) families.add('ipv4');
    else if (address.includes(':') && !address.includes('/')) families.add('ipv6');
  }
  return [...families];
}

/** Also of services that find no endpoints by EDS, which only costs parts that stay empty. */
function reachesNode(service: Service): boolean {
  return service.trafficDistribution === 'PreferSameNode' || service.nodeLocal === true;
}

function failoverPriorities({ spec }: MeshDestinationRule): string[] {
  const policies = [spec.trafficPolicy, ...(spec.subsets ?? []).map((s) => s.trafficPolicy)].filter((p) => p !== undefined);
  return policies
    .flatMap((p) => [p.loadBalancer, ...(p.portLevelSettings ?? []).map((l) => l.loadBalancer)])
    .flatMap((lb) => lb?.localityLbSetting?.failoverPriority ?? [])
    .filter((label) => !label.includes('='));
}

function present<T>(values: readonly (T | undefined)[]): T[] {
  return values.filter((value) => value !== undefined);
}

function selectorKey(namespace: string, selector: Readonly<Record<string, string>> | undefined): string {
  return `${namespace}|${firstPair(selector ?? {}) ?? ''}`;
}

/** Objects of a namespace that may select a workload: those without a selector and those whose first pair it has. No others are read. */
function candidates<V, T>(
  index: Index<V>,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  get: (key: string) => T | undefined,
): T[] {
  const buckets = ['', ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)];
  return present(buckets.flatMap((bucket) => [...index.keys(`${namespace}|${bucket}`)]).map(get));
}

function mtlsMode(mode: string | undefined): MtlsMode | undefined {
  return mode === 'STRICT' || mode === 'PERMISSIVE' || mode === 'DISABLE' ? mode : undefined;
}

function hasSelector(policy: PeerAuthentication): boolean {
  return Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function older(a: MeshVirtualService, b: MeshVirtualService): number {
  return compare(a.creationTimestamp ?? '', b.creationTimestamp ?? '') || compare(a.namespace, b.namespace) || compare(a.name, b.name);
}

/** Kubernetes' before ServiceEntries, then the oldest, then by name and cluster. */
export function preferService(a: Service, b: Service): number {
  if (a.registry !== b.registry) return a.registry === 'Kubernetes' ? -1 : 1;
  return (
    compare(a.creationTimestamp ?? '', b.creationTimestamp ?? '') ||
    compare(a.namespace, b.namespace) ||
    compare(a.object, b.object) ||
    compare(a.host, b.host)
  );
}

function preferFrom(a: Service, b: Service, namespace: string | undefined): number {
  const own = (s: Service): number => (s.namespace === namespace ? 0 : 1);
  return own(a) - own(b) || preferService(a, b);
}
