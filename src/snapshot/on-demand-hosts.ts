import { create, fromBinary } from '@bufbuild/protobuf';
import { type VirtualHost, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { clustersOf, isWildcard, onDemandHost } from '../envoy/routes/on-demand.ts';
import { encode } from '../wire/encode.ts';
import { hash } from '../wire/hash.ts';
import { concat, stringField, virtualHostFields } from '../wire/join.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { DomainIndex } from './domain-index.ts';
import type { ResourceTable } from './table.ts';

/** A virtual host as streams in lazy mode get it. */
export interface OnDemandHost {
  /**
   * With its exact domains only: by a wildcard Envoy would find it for names that have a better host, and not ask for that one. Absent: it has none, and only names
   * under its wildcards can be answered.
   */
  readonly resource?: EncodedResource;
  /** With its wildcards. */
  readonly whole: EncodedResource;
  /** Encoded without name and domains: what a host for a single name is made of. */
  readonly body: Uint8Array;
  readonly clusters: ReadonlySet<string>;
}

/** What streams in lazy mode share: each host is made fit for them once, and the hosts of a table are indexed once by domain. */
export class OnDemandHosts {
  private readonly hosts = new WeakMap<EncodedResource, OnDemandHost>();
  private readonly catchAlls = new WeakMap<EncodedResource, OnDemandHost | 'none'>();
  private readonly indexes = new WeakMap<ResourceTable, DomainIndex>();

  of(resource: EncodedResource): OnDemandHost {
    let host = this.hosts.get(resource);
    if (host === undefined) this.hosts.set(resource, (host = made(resource.name, fromBinary(VirtualHostSchema, resource.bytes))));
    return host;
  }

  /** What a table does with hosts that nobody has. */
  catchAllOf(table: EncodedResource): OnDemandHost | undefined {
    let host = this.catchAlls.get(table);
    if (host === undefined) {
      const inline = fromBinary(RouteConfigurationSchema, table.bytes).virtualHosts.find(({ domains }) => domains.includes('*'));
      this.catchAlls.set(table, (host = inline === undefined ? 'none' : made('', create(VirtualHostSchema, { ...inline, name: '' }))));
    }
    return host === 'none' ? undefined : host;
  }

  indexOf(table: ResourceTable): DomainIndex {
    let index = this.indexes.get(table);
    if (index === undefined) this.indexes.set(table, (index = new DomainIndex(table)));
    index.refresh();
    return index;
  }
}

/** A host for one domain, which does what `body` does. */
export function hostFor(name: string, domain: string, body: Uint8Array): EncodedResource {
  const bytes = concat(stringField(virtualHostFields.domains, domain), body);
  return { name, version: hash(bytes), bytes };
}

function made(name: string, decoded: VirtualHost): OnDemandHost {
  const host = onDemandHost(decoded);
  const whole = encoded(name, host);
  const exact = host.domains.filter((domain) => !isWildcard(domain));
  const resource = exact.length === host.domains.length ? whole : encoded(name, create(VirtualHostSchema, { ...host, domains: exact }));
  return {
    whole,
    body: encode(VirtualHostSchema, create(VirtualHostSchema, { ...host, domains: [] })),
    clusters: clustersOf(host),
    ...(exact.length > 0 && { resource }),
  };
}

function encoded(name: string, host: VirtualHost): EncodedResource {
  const bytes = encode(VirtualHostSchema, host);
  return { name, version: hash(bytes), bytes };
}
