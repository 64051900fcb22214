import { create } from '@bufbuild/protobuf';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.js';
import {
  type Route,
  type VirtualHost,
  VirtualHostSchema,
  VirtualHost_TlsRequirementType,
} from '#gen/envoy/config/route/v3/route_components_pb.js';
import { hostCovers, hostsOverlap } from '../../lib/host.ts';
import type { MeshVirtualService } from '../../mesh/model.ts';
import { type GatewayServer, withoutNamespace } from '../listeners/gateway-servers.ts';
import type { RouteContext } from './context.ts';
import { isCatchAll } from './match.ts';
import { buildGatewayTable } from './table.ts';
import { buildVirtualServiceRoutes } from './virtual-service.ts';

export interface GatewayRouteInput {
  readonly routeName: string;
  /** The servers that share the table; see `serversByRouteName`. */
  readonly servers: readonly GatewayServer[];
  /** Those bound to gateway `namespace/name` and visible to it, the oldest first. */
  readonly virtualServices: (gateway: string) => readonly MeshVirtualService[];
  /** All but what the servers decide. */
  readonly context: Omit<RouteContext, 'gateways' | 'listenerPort' | 'https'>;
}

interface Host {
  readonly name: string;
  /** Objects of VirtualServices, to find hosts with the same routes. */
  readonly origins: string[];
  readonly routes: Route[];
  redirect: boolean;
}

/** The table of one HTTP port or HTTPS server. */
export function buildGatewayRoute(input: GatewayRouteInput): RouteConfiguration {
  const port = input.servers[0]?.server.port.number ?? 0;
  const hosts = new Map<string, Host>();
  const hostOf = (name: string): Host => {
    const known = hosts.get(name);
    if (known !== undefined) return known;
    const added: Host = { name, origins: [], routes: [], redirect: false };
    hosts.set(name, added);
    return added;
  };
  for (const entry of input.servers) {
    const { gateway, server } = entry;
    const redirect = server.tls?.httpsRedirect === true;
    for (const virtualService of input.virtualServices(gateway.key)) {
      const shared = sharedHosts(entry, virtualService);
      if (shared.length === 0) continue;
      const context: RouteContext = {
        ...input.context,
        gateways: [gateway.key],
        listenerPort: server.port.number,
        https: server.tls !== undefined,
      };
      const origin = `${virtualService.object} ${gateway.key}`;
      const routes = buildVirtualServiceRoutes(context, virtualService);
      for (const name of shared) {
        const host = hostOf(name);
        host.redirect ||= redirect;
        // Two servers of one Gateway may lead the same VirtualService to the same host.
        if (host.origins.includes(origin)) continue;
        host.origins.push(origin);
        host.routes.push(...routes);
      }
    }
    if (redirect) for (const host of entry.hosts) hostOf(withoutNamespace(host)).redirect = true;
  }
  return buildGatewayTable(input.routeName, virtualHosts([...hosts.values()], port));
}

/** What both name: the narrower of the two, for each pair. */
function sharedHosts({ hosts }: GatewayServer, virtualService: MeshVirtualService): string[] {
  const allowed = hosts.filter((host) => !host.includes('/') || host.startsWith(`${virtualService.namespace}/`)).map(withoutNamespace);
  const shared = allowed.flatMap((own) =>
    virtualService.hosts.filter((other) => hostsOverlap(own, other)).map((other) => (hostCovers(own, other) ? other : own)),
  );
  return [...new Set(shared)];
}

/** By name. Hosts that have the same routes are one virtual host of several domains. */
function virtualHosts(hosts: readonly Host[], port: number): VirtualHost[] {
  const groups = new Map<string, Host[]>();
  for (const host of hosts.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const key = JSON.stringify([host.redirect, host.origins]);
    groups.set(key, [...(groups.get(key) ?? []), host]);
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return create(VirtualHostSchema, {
      name: `${first.name}:${port}`,
      domains: group.map(({ name }) => name),
      routes: catchAllLast(first.routes),
      includeRequestAttemptCount: true,
      requireTls: first.redirect ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
    });
  });
}

/** With routes of several VirtualServices, one that takes everything must not hide those of the next. */
function catchAllLast(routes: readonly Route[]): Route[] {
  const takesAll = (route: Route): boolean => route.match !== undefined && isCatchAll(route.match);
  return [...routes.filter((route) => !takesAll(route)), ...routes.filter(takesAll)];
}
