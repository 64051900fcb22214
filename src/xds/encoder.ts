import {
  deltaResource,
  deltaResourceByReference,
  deltaResourceWithAliases,
  type Pieces,
  sotwResource,
  sotwResourceByReference,
  stringField,
  totalLength,
  vhdsField,
  virtualHostFields,
} from '../wire/join.ts';
import { routeType, virtualHostType } from '../wire/types.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Table, TypeUrl } from './source.ts';

/** Resources as they stand in a response, encoded once for every stream that gets them together. */
export interface Step {
  /** `resources` fields of a response, joined but for resources in pieces. */
  readonly frames: Pieces;
  /** Of all frames. */
  readonly byteLength: number;
  readonly resources: readonly EncodedResource[];
  /** Names that the step took away. */
  readonly gone: readonly string[];
}

export type Form = 'delta' | 'sotw';

export interface EncoderOptions {
  /** Bytes kept of whole tables, which new streams ask for. Default 32 MiB. */
  readonly maxCachedBytes?: number;
}

/**
 * Turns resources into the fields of responses and keeps what is shared, for a table's present version alone: steps by the identity of their set of changed
 * names, and whole tables within a limit of bytes.
 */
export class Encoder {
  readonly #steps = new PresentSteps<Step>();
  readonly #hostSteps = new PresentSteps<ReadonlyMap<string, Step>>();
  readonly #whole: Record<Form, Map<Table, { readonly version: number; readonly step: Step }>> = { delta: new Map(), sotw: new Map() };
  /** Versions of tables that were asked for once: what one workload alone has is not kept for a second stream. */
  readonly #askedOnce: Record<Form, WeakMap<Table, number>> = { delta: new WeakMap(), sotw: new WeakMap() };
  readonly #hosts = new WeakMap<Table, { version: number; readonly byTable: Map<string, HostsStep> }>();
  /** By the topmost table. */
  readonly #mergedHosts = new WeakMap<Table, Map<string, MergedHosts>>();
  /** Of resources that streams get one by one, as with the endpoints of a changed cluster. */
  readonly #frames = new WeakMap<EncodedResource, Pieces>();
  /** By name; what many proxies ask for together when clusters go, or come before their endpoints. */
  readonly #empty = new Map<string, EncodedResource>();
  readonly #maxCachedBytes: number;
  #cachedBytes = 0;

  constructor(options: EncoderOptions = {}) {
    this.#maxCachedBytes = options.maxCachedBytes ?? 32 * 1024 * 1024;
  }

  /** One resource as a `resources` field of a delta response. */
  frame(type: TypeUrl, resource: EncodedResource): Pieces {
    let frame = this.#frames.get(resource);
    if (frame === undefined) this.#frames.set(resource, (frame = deltaFrame(type, resource)));
    return frame;
  }

  /**
   * Envoy ignores the removal of a ClusterLoadAssignment and goes on using its endpoints: this is what it needs in place of one. The same object for the same
   * name, as long as not too many are asked for.
   */
  emptyLoadAssignment(name: string): EncodedResource {
    let empty = this.#empty.get(name);
    if (empty !== undefined) return empty;
    empty = { name, version: 'empty', bytes: stringField(1, name) };
    if (name.length > maxEmptyNameLength) return empty;
    if (this.#empty.size >= maxEmpty) this.#empty.clear();
    this.#empty.set(name, empty);
    return empty;
  }

  /** What `names` are now in `table`. `names` must be an object of `table.changedSince`. */
  step(type: TypeUrl, table: Table, names: ReadonlySet<string>): Step {
    return this.#steps.get(table, names, () => stepOf(type, table, names));
  }

  /** The same for virtual hosts, by route table: one response carries one of them. */
  hostSteps(table: Table, names: ReadonlySet<string>): ReadonlyMap<string, Step> {
    return this.#hostSteps.get(table, names, () => {
      const byTable = new Map<string, Step>();
      for (const [route, under] of byRoute(names)) byTable.set(route, stepOf(virtualHostType, table, under));
      return byTable;
    });
  }

  /**
   * All visible virtual hosts of one route table in `tables`, lowest first: an upper table covers or hides names of lower ones. Where only some are covered, as
   * in a namespace with routes of its own, the rest goes out in the bytes of the lower table's answer, cut at those.
   */
  hostsOf(tables: readonly Table[], route: string): readonly Step[] {
    const top = tables.at(-1);
    if (top === undefined) return [];
    let byRoute = this.#mergedHosts.get(top);
    if (byRoute === undefined) this.#mergedHosts.set(top, (byRoute = new Map()));
    const known = byRoute.get(route);
    if (known !== undefined && areStill(known.tables, tables)) return known.steps;
    const steps = tables.flatMap((table, i) => uncovered(this.#allHosts(table, route), tables.slice(i + 1)));
    byRoute.set(route, { tables: versionsOf(tables), steps });
    return steps;
  }

  #allHosts(table: Table, route: string): HostsStep {
    let known = this.#hosts.get(table);
    if (known?.version !== table.version) this.#hosts.set(table, (known = { version: table.version, byTable: new Map() }));
    let step = known.byTable.get(route);
    if (step === undefined) known.byTable.set(route, (step = hostsStep(table, route)));
    return step;
  }

  /** The whole of `table`; kept for others once a second stream has asked for it. */
  whole(form: Form, type: TypeUrl, table: Table): Step {
    const cache = this.#whole[form];
    const known = cache.get(table);
    if (known?.version === table.version) {
      // To the end: what one workload alone asks for must not push out what all ask for.
      cache.delete(table);
      cache.set(table, known);
      return known.step;
    }
    if (known !== undefined) this.#forget(cache, table, known.step);
    const resources: EncodedResource[] = [];
    for (const name of table.names()) {
      const resource = table.get(name);
      if (resource !== undefined) resources.push(resource);
    }
    const step = stepWith(
      resources.map((resource) => frame(form, type, resource)),
      resources,
      [],
    );
    const isWanted = this.#askedOnce[form].get(table) === table.version;
    this.#askedOnce[form].set(table, table.version);
    if (isWanted && step.byteLength <= this.#maxCachedBytes) {
      cache.set(table, { version: table.version, step });
      this.#cachedBytes += step.byteLength;
      this.#shrink();
    }
    return step;
  }

  #shrink(): void {
    for (const cache of [this.#whole.sotw, this.#whole.delta]) {
      for (const [table, { step }] of cache) {
        if (this.#cachedBytes <= this.#maxCachedBytes) return;
        this.#forget(cache, table, step);
      }
    }
  }

  #forget(cache: Map<Table, unknown>, table: Table, step: Step): void {
    cache.delete(table);
    this.#cachedBytes -= step.byteLength;
  }
}

/** Clients choose the names. */
const maxEmpty = 4096;
const maxEmptyNameLength = 512;

/**
 * Steps to a table's present version, by the identity of their set of names. One is kept from the second stream on that asks for it: what one workload alone
 * has, such as its inbound listener, is large, and nobody asks again.
 */
class PresentSteps<T> {
  readonly #byTable = new WeakMap<Table, { readonly version: number; readonly byNames: Map<ReadonlySet<string>, T | undefined> }>();

  get(table: Table, names: ReadonlySet<string>, make: () => T): T {
    let present = this.#byTable.get(table);
    if (present?.version !== table.version) this.#byTable.set(table, (present = { version: table.version, byNames: new Map() }));
    const known = present.byNames.get(names);
    if (known !== undefined) return known;
    const step = make();
    present.byNames.set(names, present.byNames.has(names) ? step : undefined);
    return step;
  }
}

/** One `resources` field. `version` differs from the resource's own where a claim of that version must not be believed later. */
export function deltaFrame(type: TypeUrl, resource: EncodedResource, version: string = resource.version): Pieces {
  if (resource.pieces !== undefined) return deltaResourceByReference(resource.name, version, type, resource.pieces);
  return [deltaFrameInOne(type, resource, version)];
}

function deltaFrameInOne(type: TypeUrl, resource: EncodedResource, version: string): Uint8Array {
  if (type === virtualHostType) {
    const { name, aliases, bytes } = resource;
    const nameField = stringField(virtualHostFields.name, name);
    if (aliases !== undefined) return deltaResourceWithAliases(name, version, aliases, type, nameField, bytes);
    return deltaResource(name, version, type, nameField, bytes);
  }
  if (type === routeType && resource.vhds === true) return deltaResource(resource.name, version, type, resource.bytes, vhdsField);
  return deltaResource(resource.name, version, type, resource.bytes);
}

/** The same in a response of the state of the world. */
export function sotwFrame(type: TypeUrl, resource: EncodedResource): Pieces {
  return resource.pieces === undefined ? [sotwResource(type, resource.bytes)] : sotwResourceByReference(type, resource.pieces);
}

function frame(form: Form, type: TypeUrl, resource: EncodedResource): Pieces {
  return form === 'delta' ? deltaFrame(type, resource) : sotwFrame(type, resource);
}

/** The route table that a virtual host `<table>/<host>` belongs to. Neither part has a slash. */
export function routeOf(virtualHost: string): string {
  const slash = virtualHost.indexOf('/');
  return slash < 0 ? virtualHost : virtualHost.slice(0, slash);
}

export function byRoute(names: Iterable<string>): Map<string, string[]> {
  const routes = new Map<string, string[]>();
  for (const name of names) {
    const route = routeOf(name);
    const under = routes.get(route);
    if (under === undefined) routes.set(route, [name]);
    else under.push(name);
  }
  return routes;
}

interface HostsStep extends Step {
  /** Where each resource ends in the one frame that there is. */
  readonly ends: readonly number[];
}

/** A table as it was when something was made from it. */
export interface TableVersion {
  readonly table: Table;
  readonly version: number;
}

interface MergedHosts {
  readonly tables: readonly TableVersion[];
  readonly steps: readonly Step[];
}

export function versionsOf(tables: readonly Table[]): TableVersion[] {
  return tables.map((table) => ({ table, version: table.version }));
}

/** The same tables, none of which has changed since. */
export function areStill(known: readonly TableVersion[], tables: readonly Table[]): boolean {
  return known.length === tables.length && known.every(({ table, version }, i) => table === tables[i] && table.version === version);
}

function hostsStep(table: Table, route: string): HostsStep {
  const resources: EncodedResource[] = [];
  const frames: Uint8Array[] = [];
  const ends: number[] = [];
  let end = 0;
  for (const name of table.namesUnder(route)) {
    const resource = table.get(name);
    if (resource === undefined) continue;
    const bytes = deltaFrameInOne(virtualHostType, resource, resource.version);
    resources.push(resource);
    frames.push(bytes);
    ends.push((end += bytes.byteLength));
  }
  return { frames: [join(frames)], byteLength: end, resources, gone: [], ends };
}

/** `step` in as few pieces as leave out what the tables above it have or hide. */
function uncovered(step: HostsStep, above: readonly Table[]): Step[] {
  const {
    resources,
    frames: [all = none],
    ends,
  } = step;
  const runs: Step[] = [];
  const cut = (from: number, to: number): void => {
    if (from === to) return;
    const run = all.subarray(ends[from - 1] ?? 0, ends[to - 1]);
    runs.push({ frames: [run], byteLength: run.byteLength, resources: resources.slice(from, to), gone: [] });
  };
  let from = 0;
  for (const [i, { name }] of resources.entries()) {
    if (!above.some((table) => table.get(name) !== undefined || table.hides(name))) continue;
    cut(from, i);
    from = i + 1;
  }
  if (from === 0) return resources.length === 0 ? [] : [step];
  cut(from, resources.length);
  return runs;
}

function stepOf(type: TypeUrl, table: Table, names: Iterable<string>): Step {
  const resources: EncodedResource[] = [];
  const gone: string[] = [];
  for (const name of names) {
    const resource = table.get(name);
    if (resource === undefined) gone.push(name);
    else resources.push(resource);
  }
  return stepWith(
    resources.map((resource) => deltaFrame(type, resource)),
    resources,
    gone,
  );
}

const none = new Uint8Array(0);

/** `frames`: one for each of `resources`. Those that are not in pieces are joined. */
function stepWith(frames: readonly Pieces[], resources: readonly EncodedResource[], gone: readonly string[]): Step {
  const joined: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  const endRun = (): void => {
    if (run.length > 0) joined.push(join(run));
    run = [];
  };
  for (const [i, pieces] of frames.entries()) {
    const [first] = pieces;
    if (resources[i]?.pieces === undefined && first !== undefined) {
      run.push(first);
      continue;
    }
    endRun();
    joined.push(...pieces);
  }
  endRun();
  return { frames: joined, byteLength: totalLength(joined), resources, gone };
}

function join(frames: readonly Uint8Array[]): Uint8Array {
  return frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
}
