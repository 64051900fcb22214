import { BinaryReader } from '@bufbuild/protobuf/wire';
import { isWildcard } from '../envoy/routes/on-demand.ts';
import { virtualHostFields } from '../wire/join.ts';
import { routeOf, type ResourceTable } from './table.ts';

interface OfRoute {
  /** Names by domain; the table of a part may have a domain twice where a part above it covers one of the two. */
  readonly names: Map<string, Set<string>>;
  wildcards: number;
}

/** The virtual hosts of a table by route and domain, lower case as Envoy compares them. Made when first asked, then kept up to date by what has changed. */
export class DomainIndex {
  private readonly table: ResourceTable;
  private readonly domains = new Map<string, readonly string[]>();
  private readonly routes = new Map<string, OfRoute>();
  private version: number | undefined;

  constructor(table: ResourceTable) {
    this.table = table;
  }

  at(route: string, domain: string): Iterable<string> {
    return this.routes.get(route)?.names.get(domain) ?? none;
  }

  hasWildcards(route: string): boolean {
    return (this.routes.get(route)?.wildcards ?? 0) > 0;
  }

  /** To be called before it is asked, at the end of a change. */
  refresh(): void {
    if (this.version === this.table.version) return;
    const changed = this.version === undefined ? undefined : this.table.changedSince(this.version);
    for (const name of changed ?? new Set([...this.domains.keys(), ...this.table.names()])) this.update(name);
    this.version = this.table.version;
  }

  private update(name: string): void {
    const route = routeOf(name);
    const before = this.domains.get(name) ?? none;
    const resource = this.table.get(name);
    const now = resource === undefined ? none : domainsOf(resource.bytes);
    if (now.length === before.length && now.every((domain, i) => domain === before[i])) return;
    let ofRoute = this.routes.get(route);
    if (ofRoute === undefined) this.routes.set(route, (ofRoute = { names: new Map(), wildcards: 0 }));
    for (const domain of before) {
      const names = ofRoute.names.get(domain);
      names?.delete(name);
      if (names?.size === 0) ofRoute.names.delete(domain);
      if (isWildcard(domain)) ofRoute.wildcards--;
    }
    for (const domain of now) {
      const names = ofRoute.names.get(domain);
      if (names === undefined) ofRoute.names.set(domain, new Set([name]));
      else names.add(name);
      if (isWildcard(domain)) ofRoute.wildcards++;
    }
    if (resource === undefined) this.domains.delete(name);
    else this.domains.set(name, now);
    if (ofRoute.names.size === 0) this.routes.delete(route);
  }
}

/** Of an encoded VirtualHost; the rest is not decoded. */
export function domainsOf(bytes: Uint8Array): readonly string[] {
  const reader = new BinaryReader(bytes);
  const domains: string[] = [];
  while (reader.pos < reader.len) {
    const [fieldNumber, wireType] = reader.tag();
    if (fieldNumber === virtualHostFields.domains) domains.push(reader.string().toLowerCase());
    else reader.skip(wireType);
  }
  return domains;
}

const none: readonly never[] = [];
