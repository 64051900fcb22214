/** Which hosts a Sidecar lets its workloads see. */
import type { Sidecar } from '../apis/sidecar.ts';
import { hostCovers } from '../lib/host.ts';
import { resolveHost } from './host.ts';
import type { Mesh } from './mesh.ts';
import { clusterDomain, visibleFrom } from './services.ts';

/** Hosts by the egress listener that has them: by port, and those of the listeners without one. */
export interface EgressHosts {
  readonly all: ReadonlySet<string>;
  readonly catchAll: ReadonlySet<string>;
  readonly byPort: ReadonlyMap<number, ReadonlySet<string>>;
}

/** Recorded reads of what the patterns name, and of nothing else. Without egress listeners everything is seen. */
export function egressHosts(mesh: Mesh, sidecar: Sidecar | undefined, namespace: string): EgressHosts {
  const catchAll = new Set<string>();
  const byPort = new Map<number, Set<string>>();
  for (const listener of sidecar?.spec.egress ?? [{ hosts: ['*/*'] }]) {
    const port = listener.port?.number;
    let into = catchAll;
    if (port !== undefined) {
      into = byPort.get(port) ?? new Set();
      byPort.set(port, into);
    }
    for (const pattern of listener.hosts) for (const host of hostsOf(mesh, pattern, namespace)) into.add(host);
  }
  return { catchAll, byPort, all: new Set([...catchAll, ...[...byPort.values()].flatMap((s) => [...s])]) };
}

/** `<port>|<host>` for each port with listeners of its own, `*|<host>` for the others, and `<port>|` for the port itself. */
export function* seenAtPorts(hosts: EgressHosts): Iterable<string> {
  for (const host of hosts.catchAll) yield `*|${host}`;
  for (const [port, seen] of hosts.byPort) {
    yield `${port}|`;
    for (const host of seen) yield `${port}|${host}`;
  }
}

function* hostsOf(mesh: Mesh, pattern: string, namespace: string): Iterable<string> {
  const slash = pattern.indexOf('/');
  const written = slash < 0 ? '*' : pattern.slice(0, slash);
  const from = written === '.' ? namespace : written;
  if (from === '~') return;
  const host = resolveHost(slash < 0 ? pattern : pattern.slice(slash + 1), namespace, clusterDomain);
  const services = from === '*' ? mesh.servicesByPattern.keys(host) : mesh.servicesByNamespacePattern.keys(`${from}|${host}`);
  for (const key of services) {
    const service = mesh.services.get(key);
    if (service !== undefined && visibleFrom(service.exportTo, namespace)) yield service.host;
  }
  for (const key of mesh.meshRoutesByNamespacePattern.keys(`${from}|${host}`)) {
    const routes = mesh.virtualServices.get(key);
    if (routes === undefined || !visibleFrom(routes.exportTo, namespace)) continue;
    for (const routed of routes.hosts) if (hostCovers(host, routed) && !mesh.servicesByHost.has(routed)) yield routed;
  }
}
