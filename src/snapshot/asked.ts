import type { ObjectKey } from '../apis/object.ts';
import { httpProxyTable } from '../envoy/routes/table.ts';
import { clusterType, routeType, virtualHostType } from '../wire/types.ts';
import type { OnDemand, TableChange, TypeUrl } from '../xds/source.ts';
import { PartsView } from '../xds/view.ts';
import { hostFor, type OnDemandHost, type OnDemandHosts } from './on-demand-hosts.ts';
import { SnapshotPart } from './part.ts';
import { routeOf, type ResourceTable } from './table.ts';
import { domainsOf } from './domain-index.ts';
import { isWildcard } from '../envoy/routes/on-demand.ts';

export interface AskedLimits {
  /** Hosts for names that no host has, or only by a wildcard; the longest unasked goes first. Default 1,000. */
  readonly maxStandIns: number;
  /** How long such a host stays: Envoy asks again. Default 1 hour. */
  readonly standInMs: number;
}

const defaultLimits: AskedLimits = { maxStandIns: 1000, standInMs: 3_600_000 };

/** A host for one name that no host has for itself. */
interface StandIn {
  readonly route: string;
  readonly domain: string;
  /** The host whose wildcard covers the name; undefined: nobody has it, and the table's catch-all says what happens. */
  from: string | undefined;
  atMs: number;
  aliases: readonly string[];
}

type Answer = { readonly exact: string } | { readonly wildcard: string | undefined; readonly host: OnDemandHost };

/** Names under which Envoy waits for a host are few at a time. */
const maxAliases = 8;
/** Longest name of a host in DNS, a port, and room. */
const maxHostLength = 300;
const maxGone = 256;

/**
 * What one stream in lazy mode has asked for, as a part of its own over those that it shares: pointers to virtual hosts and clusters of `sources`, which follow
 * these, and stand-ins for names that none of them has for itself. Nothing of it is shared; the hosts themselves are.
 */
export class AskedPart extends SnapshotPart implements OnDemand {
  private sources: PartsView = new PartsView([]);
  private sourceParts: readonly SnapshotPart[] = [];
  private readonly hosts: OnDemandHosts;
  private readonly now: () => number;
  private readonly limits: AskedLimits;
  private readonly changedTables: Map<TypeUrl, ResourceTable>;
  /** Names under which Envoy has asked for a host that it has. */
  private readonly held = new Map<string, readonly string[]>();
  /** By `<route>/<domain>`, which is the host's name; the longest unasked first. */
  private readonly standIns = new Map<string, StandIn>();
  /** Of stand-ins, by the host whose wildcard covers them. */
  private readonly standInsOf = new Map<string, Set<string>>();
  private readonly askedClusters = new Set<string>();
  /** Hosts that name a cluster: it comes with them. */
  private readonly needs = new Map<string, Set<string>>();
  private readonly clustersByHost = new Map<string, ReadonlySet<string>>();
  /** What was taken away last, for `heldOf`. */
  private readonly gone = new Set<string>();

  constructor(id: string, hosts: OnDemandHosts, now: () => number, limits: Partial<AskedLimits> = {}) {
    const changedTables = new Map<TypeUrl, ResourceTable>();
    super(id, (_part, type, table) => changedTables.set(type, table));
    this.changedTables = changedTables;
    this.hosts = hosts;
    this.now = now;
    this.limits = { ...defaultLimits, ...limits };
  }

  /** The parts that it reads, lowest first. They are read at the next `refresh`. */
  setSources(parts: readonly SnapshotPart[]): void {
    this.sourceParts = parts;
    this.sources = new PartsView(parts);
  }

  isAskedFor(type: TypeUrl): boolean {
    return type === clusterType || type === virtualHostType;
  }

  /** Names of hosts are `<route>/<Host header>`. Returns the name of what answers; undefined: nothing does. */
  ask(type: TypeUrl, name: string): string | undefined {
    return type === clusterType ? this.askCluster(name) : this.askHost(name, [name]);
  }

  /** The proxy has it: of an earlier stream, or of a time before it was lazy. */
  adopt(type: TypeUrl, name: string): void {
    if (type === clusterType) this.askCluster(name);
    else if (this.sources.find(virtualHostType, name) !== undefined) this.hold(name, []);
    // A name with a port is that of a service's host, which is gone.
    else if (type === virtualHostType && !hasPort(name)) this.askHost(name, []);
  }

  /** All that the proxy could have of a list of parts that was not lazy. */
  adoptAll(parts: readonly SnapshotPart[]): void {
    const view = new PartsView(parts);
    for (const type of [clusterType, virtualHostType]) for (const { name } of view.resources(type)) this.adopt(type, name);
  }

  /** The proxy has let go of the table, and of its hosts with it. */
  release(route: string): void {
    for (const name of [...this.held.keys()]) if (routeOf(name) === route) this.dropHost(name);
    for (const [name, standIn] of [...this.standIns]) if (standIn.route === route) this.dropStandIn(name);
  }

  /** Takes away stand-ins that are too old. Returns whether there were any. */
  expire(): boolean {
    const before = this.now() - this.limits.standInMs;
    let any = false;
    for (const [name, { atMs }] of this.standIns) {
      if (atMs > before) break;
      this.dropStandIn(name);
      any = true;
    }
    return any;
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
    } else if (type === routeType && this.standIns.size > 0) {
      for (const [name, { route }] of [...this.standIns]) if (names.has(route)) this.resolveAgain(name);
    }
  }

  /** The sources are others. */
  refresh(): void {
    for (const name of [...this.held.keys()]) this.hostChanged(name);
    for (const name of [...this.standIns.keys()]) this.resolveAgain(name);
    for (const name of new Set([...this.askedClusters, ...this.needs.keys()])) this.putCluster(name);
  }

  heldOf({ part, type, names }: TableChange): TableChange | undefined {
    if (!this.sources.parts.includes(part)) return undefined;
    const inType = type === routeType ? virtualHostType : type;
    const table = this.table(inType);
    if (table === undefined || !this.isAskedFor(inType)) return undefined;
    const held = new Set<string>();
    if (type === routeType) for (const [name, { route }] of this.standIns) if (names.has(route)) held.add(name);
    for (const name of names) {
      if (table.get(name) !== undefined || this.gone.has(`${type} ${name}`)) held.add(name);
      for (const standIn of this.standInsOf.get(name) ?? none) held.add(standIn);
    }
    return held.size === 0 ? undefined : { part: this, type: inType, version: table.changedAt(held), names: held };
  }

  override provenance(type: TypeUrl, name: string): ObjectKey[] | undefined {
    const of = this.standIns.get(name)?.from ?? name;
    for (const part of this.sourceParts.toReversed()) {
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
    // Envoy asks again; a host that names it goes on waiting for it.
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

  // Hosts

  private askHost(asked: string, aliases: readonly string[]): string | undefined {
    const route = routeOf(asked);
    const domain = domainOf(route, asked.slice(route.length + 1));
    const answer = this.resolve(route, domain);
    if (answer === undefined) return undefined;
    const standIn = `${route}/${domain}`;
    if ('exact' in answer) {
      this.dropStandIn(standIn);
      return this.hold(answer.exact, aliases) ? answer.exact : undefined;
    }
    const known = this.standIns.get(standIn);
    // To the end: it was asked for last.
    this.standIns.delete(standIn);
    this.standIns.set(standIn, {
      route,
      domain,
      from: known?.from,
      atMs: this.now(),
      aliases: merged(known?.aliases, aliases),
    });
    this.putStandIn(standIn, answer);
    for (const oldest of this.standIns.keys()) {
      if (this.standIns.size <= this.limits.maxStandIns) break;
      this.dropStandIn(oldest);
    }
    return standIn;
  }

  /** The host that Envoy would choose if it had all: by the exact domain, the longest wildcard in front, the longest behind, else the table's catch-all. */
  private resolve(route: string, domain: string): Answer | undefined {
    const table = this.sources.find(routeType, route);
    if (table?.vhds !== true) return undefined;
    const exact = this.hostAt(route, domain);
    if (exact !== undefined) return { exact };
    const wildcard = this.wildcardOver(route, domain);
    const resource = wildcard === undefined ? undefined : this.sources.find(virtualHostType, wildcard);
    const host = resource === undefined ? this.hosts.catchAllOf(table) : this.hosts.of(resource);
    return host === undefined ? undefined : { wildcard, host };
  }

  private wildcardOver(route: string, domain: string): string | undefined {
    if (!this.sourceParts.some((part) => this.indexOf(part)?.hasWildcards(route) === true)) return undefined;
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
    for (let i = this.sourceParts.length - 1; i >= 0; i--) {
      const part = this.sourceParts[i];
      for (const name of (part === undefined ? undefined : this.indexOf(part))?.at(route, domain) ?? none) {
        if (!this.sources.covers(virtualHostType, i, name)) return name;
      }
    }
    return undefined;
  }

  private indexOf(part: SnapshotPart) {
    const table = part.table(virtualHostType);
    return table === undefined ? undefined : this.hosts.indexOf(table);
  }

  /** False where the host has no exact domain. */
  private hold(name: string, aliases: readonly string[]): boolean {
    const source = this.sources.find(virtualHostType, name);
    const host = source === undefined ? undefined : this.hosts.of(source);
    if (host?.resource === undefined) {
      this.dropHost(name);
      return false;
    }
    const all = merged(this.held.get(name), aliases);
    this.held.set(name, all);
    this.put(virtualHostType, all.length === 0 ? host.resource : { ...host.resource, aliases: all });
    this.need(name, host.clusters);
    return true;
  }

  private dropHost(name: string): void {
    if (!this.held.delete(name)) return;
    this.remove(virtualHostType, name);
    this.need(name, nothing);
  }

  private hostChanged(name: string): void {
    if (this.held.has(name)) this.hold(name, []);
    for (const standIn of [...(this.standInsOf.get(name) ?? none)]) this.resolveAgain(standIn);
    if (this.standIns.size === 0) return;
    const resource = this.sources.find(virtualHostType, name);
    if (resource === undefined) return;
    const route = routeOf(name);
    for (const domain of domainsOf(resource.bytes)) {
      if (!isWildcard(domain)) this.resolveAgain(`${route}/${domain}`);
      else for (const [standIn, { route: at }] of [...this.standIns]) if (at === route) this.resolveAgain(standIn);
    }
  }

  /** A host that has the name for itself takes its place. */
  private resolveAgain(name: string): void {
    const standIn = this.standIns.get(name);
    if (standIn === undefined) return;
    const answer = this.resolve(standIn.route, standIn.domain);
    if (answer === undefined) this.dropStandIn(name);
    else if ('exact' in answer) {
      this.dropStandIn(name);
      this.hold(answer.exact, standIn.aliases);
    } else this.putStandIn(name, answer);
  }

  private putStandIn(name: string, { wildcard, host }: Exclude<Answer, { readonly exact: string }>): void {
    const standIn = this.standIns.get(name);
    if (standIn === undefined) return;
    if (standIn.from !== wildcard) {
      this.unlink(name, standIn.from);
      standIn.from = wildcard;
    }
    if (wildcard !== undefined) {
      const of = this.standInsOf.get(wildcard);
      if (of === undefined) this.standInsOf.set(wildcard, new Set([name]));
      else of.add(name);
    }
    const resource = hostFor(name, standIn.domain, host.body);
    this.put(virtualHostType, standIn.aliases.length === 0 ? resource : { ...resource, aliases: standIn.aliases });
    this.need(name, host.clusters);
  }

  private dropStandIn(name: string): void {
    const standIn = this.standIns.get(name);
    if (standIn === undefined) return;
    this.standIns.delete(name);
    this.unlink(name, standIn.from);
    this.remove(virtualHostType, name);
    this.need(name, nothing);
  }

  private unlink(name: string, from: string | undefined): void {
    if (from === undefined) return;
    const of = this.standInsOf.get(from);
    of?.delete(name);
    if (of?.size === 0) this.standInsOf.delete(from);
  }

  private put(type: TypeUrl, resource: Parameters<ResourceTable['put']>[0]): void {
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

/**
 * The Host header as Envoy compares it with domains. What cannot be an exact domain is served as `invalid`, a name that nobody can have: it is answered, and
 * Envoy then finds no host for it.
 */
function domainOf(route: string, host: string): string {
  const domain = (route === httpProxyTable ? host : host.replace(/:\d+$/, '')).toLowerCase();
  // eslint-disable-next-line no-control-regex -- what Envoy refuses in a domain, and what would make it a pattern.
  return domain === '' || domain.length > maxHostLength || /[\u0000-\u0020\u007f-\uffff/*]/.test(domain) ? 'invalid' : domain;
}

function hasPort(name: string): boolean {
  return /:\d+$/.test(name);
}

/** The last few; the same list when nothing is new, so that equal resources stay equal. */
function merged(known: readonly string[] = none, more: readonly string[]): readonly string[] {
  if (more.every((alias) => known.includes(alias))) return known;
  return [...known.filter((alias) => !more.includes(alias)), ...more].slice(-maxAliases);
}
