import { deltaResource, field, sotwResource, stringField, routeConfigurationFields, virtualHostFields } from '../wire/join.ts';
import { routeType, virtualHostType } from '../wire/types.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Table, TypeUrl } from './source.ts';

/** Resources as they stand in a response, encoded once for every stream that gets them together. */
export interface Step {
  /** `resources` fields of a response, joined. */
  readonly frames: Uint8Array;
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
 * Turns resources into the fields of responses and keeps what is shared: the step of a table by the identity of its set of changed names, and
 * whole tables by their version, within a limit of bytes.
 */
export class Encoder {
  readonly #steps = new WeakMap<ReadonlySet<string>, { readonly version: number; readonly step: Step }>();
  readonly #hostSteps = new WeakMap<ReadonlySet<string>, { readonly version: number; readonly byTable: ReadonlyMap<string, Step> }>();
  readonly #whole: Record<Form, Map<Table, { readonly version: number; readonly step: Step }>> = { delta: new Map(), sotw: new Map() };
  readonly #hosts = new WeakMap<Table, { version: number; readonly byTable: Map<string, Step> }>();
  /** Of resources that streams get one by one, as with the endpoints of a changed cluster. */
  readonly #frames = new WeakMap<EncodedResource, Uint8Array>();
  readonly #maxCachedBytes: number;
  #cachedBytes = 0;

  constructor(options: EncoderOptions = {}) {
    this.#maxCachedBytes = options.maxCachedBytes ?? 32 * 1024 * 1024;
  }

  /** One resource as a `resources` field of a delta response. */
  frame(type: TypeUrl, resource: EncodedResource): Uint8Array {
    let frame = this.#frames.get(resource);
    if (frame === undefined) this.#frames.set(resource, (frame = deltaFrame(type, resource)));
    return frame;
  }

  /** What `names` are now in `table`. `names` must be an object of `table.changedSince`. */
  step(type: TypeUrl, table: Table, names: ReadonlySet<string>): Step {
    const known = this.#steps.get(names);
    if (known?.version === table.version) return known.step;
    const step = stepOf(type, table, names);
    this.#steps.set(names, { version: table.version, step });
    return step;
  }

  /** The same for virtual hosts, by route table: one response carries one of them. */
  hostSteps(table: Table, names: ReadonlySet<string>): ReadonlyMap<string, Step> {
    const known = this.#hostSteps.get(names);
    if (known?.version === table.version) return known.byTable;
    const byTable = new Map<string, Step>();
    for (const [route, under] of byRoute(names)) byTable.set(route, stepOf(virtualHostType, table, under));
    this.#hostSteps.set(names, { version: table.version, byTable });
    return byTable;
  }

  /** All virtual hosts of one route table in `table`. */
  hostsOf(table: Table, route: string): Step {
    let known = this.#hosts.get(table);
    if (known?.version !== table.version) this.#hosts.set(table, (known = { version: table.version, byTable: new Map() }));
    let step = known.byTable.get(route);
    if (step === undefined) known.byTable.set(route, (step = stepOf(virtualHostType, table, table.namesUnder(route))));
    return step;
  }

  /** The whole of `table`. */
  whole(form: Form, type: TypeUrl, table: Table): Step {
    const cache = this.#whole[form];
    const known = cache.get(table);
    if (known?.version === table.version) return known.step;
    if (known !== undefined) this.#forget(cache, table, known.step);
    const resources: EncodedResource[] = [];
    for (const name of table.names()) {
      const resource = table.get(name);
      if (resource !== undefined) resources.push(resource);
    }
    const step = { frames: join(resources.map((resource) => frame(form, type, resource))), resources, gone: [] };
    if (step.frames.byteLength <= this.#maxCachedBytes) {
      cache.set(table, { version: table.version, step });
      this.#cachedBytes += step.frames.byteLength;
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
    this.#cachedBytes -= step.frames.byteLength;
  }
}

/** One `resources` field. `version` differs from the resource's own where a claim of that version must not be believed later. */
export function deltaFrame(type: TypeUrl, resource: EncodedResource, version: string = resource.version): Uint8Array {
  if (type === virtualHostType) {
    return deltaResource(resource.name, version, type, stringField(virtualHostFields.name, resource.name), resource.bytes);
  }
  if (type === routeType && resource.vhds === true) return deltaResource(resource.name, version, type, resource.bytes, vhdsField);
  return deltaResource(resource.name, version, type, resource.bytes);
}

function frame(form: Form, type: TypeUrl, resource: EncodedResource): Uint8Array {
  return form === 'delta' ? deltaFrame(type, resource) : sotwResource(type, resource.bytes);
}

/** Envoy ignores the removal of a ClusterLoadAssignment and goes on using its endpoints: this is what it needs in place of one. */
export function emptyLoadAssignment(name: string): EncodedResource {
  return { name, version: 'empty', bytes: stringField(1, name) };
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

function stepOf(type: TypeUrl, table: Table, names: Iterable<string>): Step {
  const resources: EncodedResource[] = [];
  const gone: string[] = [];
  for (const name of names) {
    const resource = table.get(name);
    if (resource === undefined) gone.push(name);
    else resources.push(resource);
  }
  return { frames: join(resources.map((resource) => deltaFrame(type, resource))), resources, gone };
}

function join(frames: readonly Uint8Array[]): Uint8Array {
  return frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames);
}

/** `vhds { config_source { ads {} initial_fetch_timeout {} resource_api_version: V3 } }`; with the default timeout Envoy serves 404 after 15 s. */
const vhdsField = field(routeConfigurationFields.vhds, field(1, field(3), field(4), Uint8Array.of(6 * 8, 2)));
