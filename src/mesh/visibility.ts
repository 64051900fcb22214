/**
 * Which hosts all namespaces see alike, and where a namespace sees one differently.
 *
 * Nearly everything in a mesh looks the same from everywhere. So there is one view that holds what is public, and each namespace has only its exceptions:
 * what is private or exported to it alone, hosts that its own DestinationRules and VirtualServices change, and the short names of its own services. Without this
 * a mesh of N services and M namespaces would cost N x M.
 */
import { sameJson } from '../lib/json.ts';
import { Derived, type Index } from '../store/collection.ts';
import { Flat, KeySet } from '../store/keys.ts';
import { dependsOnLocality, dependsOnNode } from './locality.ts';
import type { Mesh } from './mesh.ts';
import { clusterDomain } from './services.ts';
import { isHttp, type MeshVirtualService, type Service } from './model.ts';

/** What may differ: `service`: everything of the host; `rule`: clusters, endpoints, listeners, routes; `routes`: routes; `names`: the domains of its virtual hosts. */
export type ExceptionReason = 'service' | 'rule' | 'routes' | 'names';

export interface Exception {
  /** A namespace, or one of the scopes below. */
  readonly scope: string;
  readonly host: string;
  readonly reason: ExceptionReason;
}

/** Hosts whose routes depend on labels of the client. */
export const labelScope = '+labels';
/** Hosts whose endpoints depend on the locality of the client. */
export const localityScope = '+locality';
/** Hosts whose endpoints depend on the node of the client. */
export const nodeScope = '+node';

const publicPort80 = 'public port 80';

const strength: Readonly<Record<ExceptionReason, number>> = { service: 0, rule: 1, routes: 2, names: 3 };

interface HostVisibility {
  readonly public: boolean;
  /** HTTP on port 80, in the public view. */
  readonly publicPort80: boolean;
  readonly exceptions: readonly Exception[];
}

export class Visibility {
  /** By host: bucket `public`. */
  readonly hosts: Derived<ReadonlySet<string>, HostVisibility>;
  readonly hostsByVisibility: Index<HostVisibility>;
  /** By `scope|host`; indexed by `scope#clusters` (with listeners and endpoints) and `scope#routes`: what may differ there. */
  readonly exceptions: Flat<Exception>;
  readonly exceptionsByScope: Index<Exception>;
  /** Each after what it reads. */
  private readonly own: readonly { dispose(): void }[];

  constructor(mesh: Mesh, onFault: (collection: string, key: string, error: unknown) => void) {
    this.hosts = new Derived({
      name: 'hostVisibility',
      from: mesh.servicesByHost,
      reads: [mesh.services],
      compute: (host, keys) => hostVisibility(mesh, host, keys),
      equals: sameJson,
      onFault,
    });
    this.hostsByVisibility = this.hosts.index((h) => [...(h.public ? ['public'] : []), ...(h.publicPort80 ? [publicPort80] : [])]);
    const byHost = new Derived({ name: 'hostExceptions', from: this.hosts, compute: (_host, h) => h.exceptions, onFault });
    const byService = new Derived({ name: 'serviceExceptions', from: this.hosts, compute: serviceExceptions, onFault });
    const byRule = new Derived({
      name: 'ruleExceptions',
      from: mesh.destinationRules,
      reads: [mesh.services],
      compute: (key) => ruleExceptions(mesh, key),
      equals: sameJson,
      onFault,
    });
    const ofClusters = new Flat<Exception>({
      graph: mesh.graph,
      name: 'clusterExceptions',
      from: [byService, byRule],
      keyOf: (e) => `${e.scope}|${e.host}`,
      better: (a, b) => strength[a.reason] - strength[b.reason],
      objectOf: () => undefined,
    });
    const ofClustersByHost = ofClusters.index((e) => (e.scope === localityScope || e.scope === nodeScope ? [] : [e.host]));
    const clustersDiffer = (host: string): Exception[] => [...ofClustersByHost.keys(host)].flatMap((key) => ofClusters.get(key) ?? []);
    const port80 = scopesWithPort80(mesh, this.hostsByVisibility, ofClusters, onFault);
    const byRoutes = new Derived({
      name: 'routeExceptions',
      from: mesh.virtualServices,
      reads: [mesh.services, ofClusters, port80],
      compute: (_key, v) => routeExceptions(mesh, v, clustersDiffer, port80.scopes),
      equals: sameJson,
      onFault,
    });
    this.exceptions = new Flat<Exception>({
      graph: mesh.graph,
      name: 'exceptions',
      from: [byHost, byRule, byRoutes],
      keyOf: (e) => `${e.scope}|${e.host}`,
      better: (a, b) => strength[a.reason] - strength[b.reason],
      objectOf: () => undefined,
    });
    this.exceptionsByScope = this.exceptions.index((e) => [
      `${e.scope}#routes`,
      ...(e.reason === 'rule' || e.reason === 'service' ? [`${e.scope}#clusters`] : []),
    ]);
    this.own = [this.hosts, byHost, byService, byRule, ofClusters, ...port80.own, byRoutes, this.exceptions];
  }

  /** Nothing may read it any more. */
  dispose(): void {
    for (const collection of this.own.toReversed()) collection.dispose();
  }
}

/** The host of an exception's key. */
export function hostOfException(key: string): string {
  return key.slice(key.indexOf('|') + 1);
}

function hostVisibility(mesh: Mesh, host: string, keys: ReadonlySet<string>): HostVisibility {
  const exceptions: Exception[] = [];
  let seenByAll = 0;
  let dependent = false;
  let nearby = false;
  let nodes = false;
  for (const key of [...keys].sort()) {
    const service = mesh.services.get(key);
    if (service === undefined) continue;
    const toAll = service.exportTo.includes('*');
    if (toAll) seenByAll++;
    for (const scope of service.exportTo) if (scope !== '*' && scope !== '~') exceptions.push({ scope, host, reason: 'service' });
    if (toAll && keys.size > 1) exceptions.push({ scope: service.namespace, host, reason: 'service' });
    dependent ||= service.resolution === 'eds';
    nearby ||= service.trafficDistribution !== undefined;
    nodes ||= service.trafficDistribution === 'PreferSameNode' || service.nodeLocal === true;
  }
  // Whoever declares it: a name under `<namespace>.svc` has its short form in that namespace.
  const home = seenByAll > 0 ? namespaceOf(host) : undefined;
  if (home !== undefined) exceptions.push({ scope: home, host, reason: 'names' });
  if (seenByAll > 0) {
    for (const { namespace, exportTo } of mesh.aliases.of(host)) {
      for (const scope of new Set([namespace, ...exportTo]))
        if (scope !== '*' && scope !== '~') exceptions.push({ scope, host, reason: 'names' });
    }
  }
  const config = mesh.objects.meshConfig();
  if (dependent && (nearby || dependsOnLocality(undefined, config))) exceptions.push({ scope: localityScope, host, reason: 'rule' });
  if (dependent && nodes) exceptions.push({ scope: nodeScope, host, reason: 'rule' });
  const shown = seenByAll > 0 ? mesh.serviceAt(host, undefined) : undefined;
  return { public: seenByAll > 0, publicPort80: shown !== undefined && hasPort80(shown), exceptions };
}

function namespaceOf(host: string): string | undefined {
  const suffix = `.svc.${clusterDomain}`;
  if (!host.endsWith(suffix)) return undefined;
  const base = host.slice(0, -suffix.length);
  const dot = base.indexOf('.');
  return dot < 0 ? undefined : base.slice(dot + 1);
}

function hasPort80(service: Service): boolean {
  return service.ports.some((port) => port.number === 80 && (isHttp(port.protocol) || port.protocol === 'auto'));
}

function ruleExceptions(mesh: Mesh, key: string): Exception[] {
  const rule = mesh.destinationRules.get(key);
  if (rule === undefined) return [];
  const toAll = rule.exportTo.includes('*');
  const local = dependsOnLocality(rule, mesh.objects.meshConfig());
  const nodes = local && dependsOnNode(rule, mesh.objects.meshConfig());
  const exceptions: Exception[] = [];
  for (const serviceKey of mesh.servicesByPattern.keys(rule.host)) {
    const service = mesh.services.get(serviceKey);
    if (service === undefined) continue;
    if (local) exceptions.push({ scope: localityScope, host: service.host, reason: 'rule' });
    if (nodes) exceptions.push({ scope: nodeScope, host: service.host, reason: 'rule' });
    if (!(toAll && service.namespace === rule.namespace)) exceptions.push({ scope: rule.namespace, host: service.host, reason: 'rule' });
    for (const scope of rule.exportTo) {
      if (scope !== '*' && scope !== '~' && scope !== rule.namespace) exceptions.push({ scope, host: service.host, reason: 'rule' });
    }
  }
  return exceptions.sort(byScopeAndHost);
}

/** Those by which a scope has another service than all others. */
function serviceExceptions(_host: string, { exceptions }: HostVisibility): Exception[] | undefined {
  const found = exceptions.filter((e) => e.reason === 'service');
  return found.length === 0 ? undefined : found;
}

/** `clustersDiffer`: where a host's service or DestinationRule is not that of all others. Routes to it may differ there, whatever their own host. */
function routeExceptions(
  mesh: Mesh,
  virtualService: MeshVirtualService,
  clustersDiffer: (host: string) => Exception[],
  port80: () => Iterable<string>,
): Exception[] {
  if (!virtualService.gateways.includes('mesh')) return [];
  const { exportTo, http } = virtualService;
  const scopes = new Set(exportTo.filter((to) => to !== '*' && to !== '~'));
  for (const match of http.flatMap((route) => route.match ?? [])) {
    if (match.sourceNamespace !== undefined && match.sourceNamespace !== '') scopes.add(match.sourceNamespace);
    if (Object.keys(match.sourceLabels ?? {}).length > 0) scopes.add(labelScope);
  }
  const covered = new Set<string>();
  for (const pattern of virtualService.hosts) {
    for (const key of mesh.servicesByPattern.keys(pattern)) {
      const service = mesh.services.get(key);
      if (service !== undefined) covered.add(service.host);
    }
  }
  const visible = (scope: string): boolean => exportTo.includes('*') || exportTo.includes(scope);
  for (const host of destinationsOf(virtualService)) for (const { scope } of clustersDiffer(host)) if (visible(scope)) scopes.add(scope);
  // On which ports a host without a service is served depends on the services beside it.
  for (const host of covered) {
    for (const { scope, reason } of clustersDiffer(host)) if (reason === 'service' && visible(scope)) scopes.add(scope);
  }
  if (virtualService.hosts.some((host) => !mesh.servicesByHost.has(host)))
    for (const scope of port80()) if (visible(scope)) scopes.add(scope);
  const hosts = new Set([...virtualService.hosts, ...covered]);
  return [...scopes].flatMap((scope) => [...hosts].map((host): Exception => ({ scope, host, reason: 'routes' }))).sort(byScopeAndHost);
}

/** Where a host without a service is served on port 80 and nowhere else: only there is a service with that port seen. `scopes` is a recorded read. */
function scopesWithPort80(
  mesh: Mesh,
  hostsByVisibility: Index<HostVisibility>,
  ofClusters: Flat<Exception>,
  onFault: (collection: string, key: string, error: unknown) => void,
): { readonly level: number; scopes(): Iterable<string>; readonly own: readonly { dispose(): void }[] } {
  const byException = new Derived({
    name: 'port80Exceptions',
    from: ofClusters,
    reads: [mesh.services],
    compute: (_key, { scope, host, reason }) => {
      const service = reason === 'service' ? mesh.serviceAt(host, scope) : undefined;
      return service !== undefined && hasPort80(service) ? scope : undefined;
    },
    equals: Object.is,
    onFault,
  });
  const keys = new KeySet(mesh.graph, [byException]).addLists(byException, (scope) => [scope]);
  const scopes = new Derived({
    name: 'port80Scopes',
    from: keys,
    compute: (scope) => scope,
    equals: Object.is,
    onFault,
  });
  const all = scopes.index(() => ['all']);
  return {
    level: scopes.level,
    scopes: () => (hostsByVisibility.has(publicPort80) ? [] : all.keys('all')),
    own: [byException, keys, scopes],
  };
}

function destinationsOf({ http }: MeshVirtualService): Set<string> {
  const hosts = http.flatMap(({ route = [], mirror, mirrors = [] }) => [
    ...route.map(({ destination }) => destination.host),
    ...(mirror === undefined ? [] : [mirror.host]),
    ...mirrors.map(({ destination }) => destination.host),
  ]);
  return new Set(hosts);
}

function byScopeAndHost(a: Exception, b: Exception): number {
  return a.scope < b.scope ? -1 : a.scope > b.scope ? 1 : a.host < b.host ? -1 : a.host > b.host ? 1 : 0;
}
