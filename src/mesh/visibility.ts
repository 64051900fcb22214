/**
 * Which hosts all namespaces see alike, and where a namespace sees one differently.
 *
 * Nearly everything in a mesh looks the same from everywhere. So there is one view that holds what is public, and each namespace has only its exceptions:
 * what is private or exported to it alone, hosts that its own DestinationRules and VirtualServices change, and the short names of its own services. Without this
 * a mesh of N services and M namespaces would cost N x M.
 */
import { Derived, type Index } from '../store/collection.ts';
import { Flat } from '../store/keys.ts';
import { dependsOnLocality } from './locality.ts';
import type { Mesh } from './mesh.ts';
import type { MeshVirtualService } from './model.ts';

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

const strength: Readonly<Record<ExceptionReason, number>> = { service: 0, rule: 1, routes: 2, names: 3 };

interface HostVisibility {
  readonly public: boolean;
  readonly exceptions: readonly Exception[];
}

export class Visibility {
  /** By host: bucket `public`. */
  readonly hosts: Derived<ReadonlySet<string>, HostVisibility>;
  readonly hostsByVisibility: Index<HostVisibility>;
  /** By `scope|host`; indexed by `scope#clusters` (with listeners and endpoints) and `scope#routes`: what may differ there. */
  readonly exceptions: Flat<Exception>;
  readonly exceptionsByScope: Index<Exception>;
  /** Label keys that any VirtualService matches clients by. */
  readonly sourceLabelKeys: Index<MeshVirtualService>;

  constructor(mesh: Mesh, onFault: (collection: string, key: string, error: unknown) => void) {
    this.hosts = new Derived({
      name: 'hostVisibility',
      from: mesh.servicesByHost,
      reads: [mesh.services],
      compute: (host, keys) => hostVisibility(mesh, host, keys),
      equals: sameJson,
      onFault,
    });
    this.hostsByVisibility = this.hosts.index((h) => (h.public ? ['public'] : []));
    const byHost = new Derived({ name: 'hostExceptions', from: this.hosts, compute: (_host, h) => h.exceptions, onFault });
    const byRule = new Derived({
      name: 'ruleExceptions',
      from: mesh.destinationRules,
      reads: [mesh.services],
      compute: (key) => ruleExceptions(mesh, key),
      equals: sameJson,
      onFault,
    });
    const byRoutes = new Derived({
      name: 'routeExceptions',
      from: mesh.virtualServices,
      reads: [mesh.services],
      compute: (_key, v) => routeExceptions(mesh, v),
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
    this.sourceLabelKeys = mesh.virtualServices.index((v) => [
      ...new Set(v.http.flatMap((r) => r.match ?? []).flatMap((m) => Object.keys(m.sourceLabels ?? {}))),
    ]);
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
  for (const key of [...keys].sort()) {
    const service = mesh.services.get(key);
    if (service === undefined) continue;
    const toAll = service.exportTo.includes('*');
    if (toAll) seenByAll++;
    for (const scope of service.exportTo) if (scope !== '*' && scope !== '~') exceptions.push({ scope, host, reason: 'service' });
    if (toAll) exceptions.push({ scope: service.namespace, host, reason: keys.size > 1 ? 'service' : 'names' });
    dependent ||= service.resolution === 'eds';
  }
  if (dependent && dependsOnLocality(undefined, mesh.objects.meshConfig())) exceptions.push({ scope: localityScope, host, reason: 'rule' });
  return { public: seenByAll > 0, exceptions };
}

function ruleExceptions(mesh: Mesh, key: string): Exception[] {
  const rule = mesh.destinationRules.get(key);
  if (rule === undefined) return [];
  const toAll = rule.exportTo.includes('*');
  const local = dependsOnLocality(rule, mesh.objects.meshConfig());
  const exceptions: Exception[] = [];
  for (const serviceKey of mesh.servicesByPattern.keys(rule.host)) {
    const service = mesh.services.get(serviceKey);
    if (service === undefined) continue;
    if (local) exceptions.push({ scope: localityScope, host: service.host, reason: 'rule' });
    if (!(toAll && service.namespace === rule.namespace)) exceptions.push({ scope: rule.namespace, host: service.host, reason: 'rule' });
    for (const scope of rule.exportTo) {
      if (scope !== '*' && scope !== '~' && scope !== rule.namespace) exceptions.push({ scope, host: service.host, reason: 'rule' });
    }
  }
  return exceptions.sort(byScopeAndHost);
}

function routeExceptions(mesh: Mesh, virtualService: MeshVirtualService): Exception[] {
  if (!virtualService.gateways.includes('mesh')) return [];
  const scopes = new Set(virtualService.exportTo.filter((to) => to !== '*' && to !== '~'));
  for (const match of virtualService.http.flatMap((route) => route.match ?? [])) {
    if (match.sourceNamespace !== undefined && match.sourceNamespace !== '') scopes.add(match.sourceNamespace);
    if (Object.keys(match.sourceLabels ?? {}).length > 0) scopes.add(labelScope);
  }
  if (scopes.size === 0) return [];
  const hosts = new Set(virtualService.hosts);
  for (const pattern of virtualService.hosts) {
    for (const key of mesh.servicesByPattern.keys(pattern)) {
      const service = mesh.services.get(key);
      if (service !== undefined) hosts.add(service.host);
    }
  }
  return [...scopes].flatMap((scope) => [...hosts].map((host): Exception => ({ scope, host, reason: 'routes' }))).sort(byScopeAndHost);
}

function byScopeAndHost(a: Exception, b: Exception): number {
  return a.scope < b.scope ? -1 : a.scope > b.scope ? 1 : a.host < b.host ? -1 : a.host > b.host ? 1 : 0;
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
