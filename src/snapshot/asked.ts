import type { ObjectKey } from '../apis/object.ts';
import { isWildcard } from '../envoy/routes/on-demand.ts';
import { httpProxyTable } from '../envoy/routes/table.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { clusterType, routeType, virtualHostType } from '../wire/types.ts';
import type { OnDemand, TableChange, TypeUrl } from '../xds/source.ts';
import { domainsOf, type DomainIndex } from './domain-index.ts';
import { hostFor, type OnDemandHost, type OnDemandHosts } from './on-demand-hosts.ts';
import { SnapshotPart } from './part.ts';
import { Seen } from './seen.ts';
import { routeOf, type ResourceTable } from './table.ts';

export interface AskedLimits {
  /** Names that no host has for itself, for which hosts are made. One more, and its table is no longer lazy. Default 1,000. */
  readonly maxStandIns: number;
}

const defaultLimits: AskedLimits = { maxStandIns: 1000 };

/** A name that Envoy has asked for in a table. It asks once: from then on there has to be a host for it, whatever becomes of the first answer. */
interface Asked {
  readonly route: string;
  readonly domain: string;
  /** The spellings asked for, with ports: requests wait for these. */
  aliases: readonly string[];
  answer: Answer | undefined;
}

/** `host`: it has the name for itself. `standIn`: a host was made for the name, which does what `from` does, whose wildcard covers it, or the table's catch-all. */
type Answer = { readonly kind: 'host'; readonly name: string } | { readonly kind: 'standIn'; readonly from: string | undefined };

/** Names under which Envoy waits for one host at a time. */
const maxAliases = 64;
/** Longest name of a host in DNS, a port, and room. */
const maxHostLength = 300;
const maxGone = 256;
/** Names that one stream may ask for. Envoy stops asking when a table is whole; who goes on gets no answer. */
const maxAsked = 50_000;

/**
 * What one stream in lazy mode has asked for, as a part of its own over those that it shares: pointers to virtual hosts and clusters of `sources`, which follow
 * these, and stand-ins for names that none of them has for itself. Nothing of it is shared; the hosts themselves are.
 */
export class AskedPart extends SnapshotPart implements OnDemand {
  private sources = new Seen([]);
  private readonly hosts: OnDemandHosts;
  private readonly limits: AskedLimits;
  private readonly changedTables: Map<TypeUrl, ResourceTable>;
  /** By `<route>/<domain>`. */
  private readonly asked = new Map<string, Asked>();
  /** Keys of `asked` by the host that answers them or whose wildcard covers them. */
  private readonly byHost = new Map<string, Set<string>>();
  /** Hosts that the proxy has, asked for or of a time before. */
  private readonly held = new Set<string>();
  /** Tables that have all their hosts. */
  private readonly whole = new Set<string>();
  private standIns = 0;
  private readonly askedClusters = new Set<string>();
  /** Hosts that name a cluster: it comes with them. */
  private readonly needs = new Map<string, Set<string>>();
  private readonly clustersByHost = new Map<string, ReadonlySet<string>>();
  /** What was taken away last, for `heldOf`. */
  private readonly gone = new Set<string>();

  constructor(id: string, hosts: OnDemandHosts, limits: Partial<AskedLimits> = {}) {
    const changedTables = new Map<TypeUrl, ResourceTable>();
    super(id, (_part, type, table) => changedTables.set(type, table));
    this.changedTables = changedTables;
    this.hosts = hosts;
    this.limits = { ...defaultLimits, ...limits };
  }

  /** The parts that it reads, lowest first. They are read at the next `refresh`. */
  setSources(parts: readonly SnapshotPart[]): void {
    this.sources = new Seen(parts);
  }

  isAskedFor(type: TypeUrl): boolean {
    return type === clusterType || type === virtualHostType;
  }

  /** Names of hosts are `<route>/<Host header>`. Returns the name of what answers; undefined: nothing does. */
  ask(type: TypeUrl, name: string): string | undefined {
    return type === clusterType ? this.askCluster(name) : this.askHost(name);
  }

  /** The proxy has it: of an earlier stream, or of a time before it was lazy. What it has asked for it says itself. */
  adopt(type: TypeUrl, name: string): void {
    if (type === clusterType) this.askCluster(name);
    else if (isCatchAll(name)) this.makeWhole(routeOf(name));
    else if (this.sources.find(virtualHostType, name) !== undefined) this.hold(name);
  }

  /** All that the proxy could have of a list of parts that was not lazy. */
  adoptAll(parts: readonly SnapshotPart[]): void {
    const seen = new Seen(parts);
    for (const type of [clusterType, virtualHostType]) for (const name of seen.names(type)) this.adopt(type, name);
  }

  /** The proxy has let go of the table, and of all that it has asked for in it. */
  release(route: string): void {
    this.whole.delete(route);
    for (const [key, asked] of [...this.asked]) {
      if (asked.route !== route) continue;
      this.answer(key, asked, undefined);
      this.asked.delete(key);
    }
    for (const name of [...this.held]) if (routeOf(name) === route) this.drop(name);
  }

  /** Makes what was asked for visible. Returns the types that have changed. */
  commit(): ReadonlySet<TypeUrl> {
    const types = new Set(this.changedTables.keys());
    for (const table of this.changedTables.values()) table.commit();
    this.changedTables.clear();
    return types;
  }

  /** A source has changed, and is committed. */
  sourceChanged(type: TypeUrl, names: ReadonlySet<string>): void {
    if (type === clusterType) {
      for (const name of names) if (this.askedClusters.has(name) || this.needs.has(name)) this.putCluster(name);
    } else if (type === virtualHostType) {
      for (const name of names) this.hostChanged(name);
    } else if (type === routeType) this.tablesChanged(names);
  }

  /** The sources are others. */
  refresh(): void {
    for (const route of this.whole) this.makeWhole(route);
    for (const name of [...this.held]) this.putHost(name);
    for (const key of [...this.asked.keys()]) this.resolveAgain(key);
    for (const name of new Set([...this.askedClusters, ...this.needs.keys()])) this.putCluster(name);
  }

  heldOf({ part, type, names }: TableChange): TableChange | undefined {
    if (!this.sources.parts.some((source) => source === part)) return undefined;
    const inType = type === routeType ? virtualHostType : type;
    const table = this.table(inType);
    if (table === undefined || !this.isAskedFor(inType)) return undefined;
    const held = new Set<string>();
    const addStandIn = (key: string): void => {
      if (this.asked.get(key)?.answer?.kind === 'standIn') held.add(key);
    };
    if (type === routeType) for (const [key, { route }] of this.asked) if (names.has(route)) addStandIn(key);
    for (const name of names) {
      const shown = type === routeType ? catchAllName(name) : name;
      if (table.get(shown) !== undefined || this.gone.has(`${inType} ${shown}`)) held.add(shown);
      for (const key of this.byHost.get(name) ?? none) addStandIn(key);
    }
    return held.size === 0 ? undefined : { part: this, type: inType, version: table.changedAt(held), names: held };
  }

  override provenance(type: TypeUrl, name: string): ObjectKey[] | undefined {
    const answer = this.asked.get(name)?.answer;
    const of = answer?.kind === 'standIn' ? (answer.from ?? name) : name;
    for (const part of this.sources.parts.toReversed()) {
      const objects = part.provenance(type, of);
      if (objects !== undefined) return objects;
    }
    return undefined;
  }

  // Clusters

  private askCluster(name: string): string | undefined {
    if (this.sources.find(clusterType, name) === undefined) return undefined;
    this.askedClusters.add(name);
    this.putCluster(name);
    return name;
  }

  private putCluster(name: string): void {
    const resource = this.sources.find(clusterType, name);
    if (resource !== undefined) {
      this.put(clusterType, resource);
      return;
    }
    // Of clusters Envoy does ask again; a host that names it goes on waiting for it.
    this.askedClusters.delete(name);
    this.remove(clusterType, name);
  }

  /** The clusters that come with a host; none when it goes. */
  private need(host: string, clusters: ReadonlySet<string>): void {
    const before = this.clustersByHost.get(host) ?? nothing;
    if (before === clusters) return;
    if (clusters.size === 0) this.clustersByHost.delete(host);
    else this.clustersByHost.set(host, clusters);
    for (const name of clusters) {
      const hosts = this.needs.get(name);
      if (hosts !== undefined) hosts.add(host);
      else {
        this.needs.set(name, new Set([host]));
        this.putCluster(name);
      }
    }
    for (const name of before) {
      if (clusters.has(name)) continue;
      const hosts = this.needs.get(name);
      hosts?.delete(host);
      if (hosts === undefined || hosts.size > 0) continue;
      this.needs.delete(name);
      if (!this.askedClusters.has(name)) this.remove(clusterType, name);
    }
  }

  // Names

  private askHost(name: string): string | undefined {
    const route = routeOf(name);
    const domain = domainOf(route, name.slice(route.length + 1));
    const key = `${route}/${domain}`;
    let asked = this.asked.get(key);
    // Of a table that there is not nothing is kept: it could be any name.
    if (asked === undefined && (this.sources.find(routeType, route)?.vhds !== true || this.asked.size >= maxAsked)) return undefined;
    if (asked === undefined) this.asked.set(key, (asked = { route, domain, aliases: [], answer: undefined }));
    asked.aliases = [...asked.aliases.filter((alias) => alias !== name), name].slice(-maxAliases);
    this.resolveAgain(key);
    if (this.standIns > this.limits.maxStandIns) this.makeWhole(route);
    const { answer } = asked;
    return answer === undefined ? undefined : answer.kind === 'host' ? answer.name : key;
  }

  private resolveAgain(key: string): void {
    const asked = this.asked.get(key);
    if (asked === undefined) return;
    this.answer(key, asked, this.resolve(asked.route, asked.domain));
  }

  /** The host that Envoy would choose if it had all: by the exact domain, the longest wildcard in front, the longest behind, else the table's catch-all. */
  private resolve(route: string, domain: string): Answer | undefined {
    if (this.sources.find(routeType, route)?.vhds !== true) return undefined;
    const exact = this.hostAt(route, domain);
    if (exact !== undefined) return { kind: 'host', name: exact };
    const wildcard = this.wildcardOver(route, domain);
    return this.whole.has(route) ? { kind: 'host', name: wildcard ?? catchAllName(route) } : { kind: 'standIn', from: wildcard };
  }

  private wildcardOver(route: string, domain: string): string | undefined {
    if (!this.sources.parts.some((part) => this.indexOf(part)?.hasWildcards(route) === true)) return undefined;
    for (let i = 1; i < domain.length; i++) {
      const found = this.hostAt(route, `*${domain.slice(i)}`);
      if (found !== undefined) return found;
    }
    for (let i = domain.length - 1; i > 0; i--) {
      const found = this.hostAt(route, `${domain.slice(0, i)}*`);
      if (found !== undefined) return found;
    }
    return this.hostAt(route, '*');
  }

  private hostAt(route: string, domain: string): string | undefined {
    for (let i = this.sources.parts.length - 1; i >= 0; i--) {
      const part = this.sources.parts[i];
      for (const name of (part === undefined ? undefined : this.indexOf(part))?.at(route, domain) ?? none) {
        if (!this.sources.covers(virtualHostType, i, name)) return name;
      }
    }
    return undefined;
  }

  private indexOf(part: SnapshotPart): DomainIndex | undefined {
    const table = part.table(virtualHostType);
    return table === undefined ? undefined : this.hosts.indexOf(table);
  }

  /** What stands for the name from now on; the host that did before stays, if there is one. */
  private answer(key: string, asked: Asked, answer: Answer | undefined): void {
    const before = asked.answer;
    const was = hostOf(before);
    const is = hostOf(answer);
    asked.answer = answer;
    if (was !== is) {
      const keys = was === undefined ? undefined : this.byHost.get(was);
      keys?.delete(key);
      if (was !== undefined && keys?.size === 0) this.byHost.delete(was);
    }
    if (is !== undefined) {
      const keys = this.byHost.get(is);
      if (keys === undefined) this.byHost.set(is, new Set([key]));
      else keys.add(key);
    }
    this.standIns += (answer?.kind === 'standIn' ? 1 : 0) - (before?.kind === 'standIn' ? 1 : 0);
    // A host may have the name of the stand-in that it takes the place of.
    if (before?.kind === 'standIn' && answer?.kind !== 'standIn' && !this.held.has(key)) this.show(key, undefined, none);
    if (answer?.kind === 'host') this.hold(answer.name);
    else if (answer?.kind === 'standIn') this.putStandIn(key, asked, answer.from);
  }

  private putStandIn(key: string, { route, domain, aliases }: Asked, from: string | undefined): void {
    const source = from === undefined ? undefined : this.sources.find(virtualHostType, from);
    const host = source === undefined ? this.catchAllOf(route) : this.hosts.of(source);
    // Without a table it stays as it is: the proxy may have the table for a while.
    if (host === undefined) return;
    this.show(key, hostFor(key, domain, host.body), aliases);
    this.need(key, host.clusters);
  }

  private catchAllOf(route: string): OnDemandHost | undefined {
    const table = this.sources.find(routeType, route);
    return table === undefined ? undefined : this.hosts.catchAllOf(table);
  }

  // Hosts

  private hold(name: string): void {
    this.held.add(name);
    this.putHost(name);
  }

  private putHost(name: string): void {
    const route = routeOf(name);
    const source = this.sources.find(virtualHostType, name);
    const host = source === undefined ? (isCatchAll(name) ? this.catchAllOf(route) : undefined) : this.hosts.of(source);
    const all = source === undefined && host !== undefined ? hostFor(name, '*', host.body) : host?.whole;
    const resource = this.whole.has(route) ? all : host?.resource;
    if (host === undefined || resource === undefined) {
      this.drop(name);
      return;
    }
    const aliases: string[] = [];
    for (const key of this.byHost.get(name) ?? none) {
      const asked = this.asked.get(key);
      if (asked?.answer?.kind === 'host') aliases.push(...asked.aliases);
    }
    this.show(name, resource, aliases.slice(-maxAliases));
    this.need(name, host.clusters);
  }

  private drop(name: string): void {
    if (this.held.delete(name)) this.show(name, undefined, none);
  }

  private hostChanged(name: string): void {
    const route = routeOf(name);
    const resource = this.sources.find(virtualHostType, name);
    if (this.whole.has(route) && resource !== undefined) this.held.add(name);
    if (this.held.has(name)) this.putHost(name);
    for (const key of [...(this.byHost.get(name) ?? none)]) this.resolveAgain(key);
    if (this.asked.size === 0 || resource === undefined) return;
    for (const domain of domainsOf(resource.bytes)) {
      if (!isWildcard(domain)) this.resolveAgain(`${route}/${domain}`);
      else for (const [key, asked] of [...this.asked]) if (asked.route === route && hostOf(asked.answer) !== name) this.resolveAgain(key);
    }
  }

  private tablesChanged(routes: ReadonlySet<string>): void {
    for (const route of routes) if (this.held.has(catchAllName(route))) this.putHost(catchAllName(route));
    for (const [key, { route, answer }] of [...this.asked]) if (answer?.kind !== 'host' && routes.has(route)) this.resolveAgain(key);
  }

  /** Sends all hosts of a table, the one for everything else among them. From then on Envoy asks for none. */
  private makeWhole(route: string): void {
    this.whole.add(route);
    for (const name of this.sources.names(virtualHostType, route)) this.hold(name);
    this.hold(catchAllName(route));
    for (const [key, asked] of [...this.asked]) if (asked.route === route) this.resolveAgain(key);
  }

  private show(name: string, resource: EncodedResource | undefined, aliases: readonly string[]): void {
    if (resource === undefined) {
      this.remove(virtualHostType, name);
      this.need(name, nothing);
      return;
    }
    const known = this.table(virtualHostType)?.get(name)?.aliases ?? none;
    const same = known.length === aliases.length && known.every((alias, i) => alias === aliases[i]);
    if (aliases.length === 0) this.put(virtualHostType, resource);
    else this.put(virtualHostType, { ...resource, aliases: same ? known : aliases });
  }

  private put(type: TypeUrl, resource: EncodedResource): void {
    this.gone.delete(`${type} ${resource.name}`);
    this.ensure(type).put(resource, []);
  }

  private remove(type: TypeUrl, name: string): void {
    const table = this.ensure(type);
    if (table.get(name) === undefined) return;
    table.drop(name);
    this.gone.add(`${type} ${name}`);
    for (const oldest of this.gone) {
      if (this.gone.size <= maxGone) break;
      this.gone.delete(oldest);
    }
  }
}

const none: readonly never[] = [];
const nothing: ReadonlySet<string> = new Set();

function hostOf(answer: Answer | undefined): string | undefined {
  return answer?.kind === 'host' ? answer.name : answer?.from;
}

function catchAllName(route: string): string {
  return `${route}/*`;
}

function isCatchAll(name: string): boolean {
  return name.endsWith('/*');
}

/**
 * The Host header as Envoy compares it with domains. What cannot be an exact domain is served as `invalid`, a name that nobody can have: it is answered, and
 * Envoy then finds no host for it.
 */
function domainOf(route: string, host: string): string {
  const domain = (route === httpProxyTable ? host : host.replace(/:\d+$/, '')).toLowerCase();
  return domain.length > maxHostLength || !/^[\u0021-\u0029\u002b-\u002e\u0030-\u007e]+$/.test(domain) ? 'invalid' : domain;
}
