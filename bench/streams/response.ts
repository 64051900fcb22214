/** Reads discovery responses of both protocols as far as a sidecar must to know what to ask for next. */
import { eachField, textOf, type Field } from './protobuf.ts';
import * as types from './types.ts';

/** Only what changed, or the whole state of a type each time. */
export type Protocol = 'delta' | 'sotw';

/** One resource of a response. */
export interface ReceivedResource {
  readonly name: string;
  /** Empty over SotW, where only the whole has one. */
  readonly version: string;
  /** What it names and has to be asked for: the load assignment of a cluster, the route tables of a listener. */
  readonly references: readonly string[];
  /** A RouteConfiguration whose virtual hosts come by VHDS. */
  readonly vhds: boolean;
}

/** What responses of equal resources have in common; shared by all streams that get them. */
export interface Content {
  readonly type: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  /** Everything that the resources refer to, each once. */
  readonly references: readonly string[];
}

export interface Response {
  readonly nonce: string;
  /** Of the whole; over delta it is for people only. */
  readonly version: string;
  readonly content: Content;
}

/** A content and the bytes that it was read from. */
interface Known {
  readonly message: Buffer;
  /** Where the resources are: start and end of each, one after the other. */
  readonly spans: readonly number[];
  readonly content: Content;
}

const hcmType = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
/** `Cluster.DiscoveryType.EDS`. */
const edsDiscovery = 3;
/** Distinct contents that are kept. A change has a few, each received by all streams at about the same time. */
const maxKnown = 64;

/**
 * Reads each distinct content once, and of a content that is only partly new what is new: proxies of one scope receive equal bytes but for the nonce,
 * others the same but for a few resources of their own. Comparing is ten times cheaper than reading.
 */
export class ResponseReader {
  readonly #protocol: Protocol;
  readonly #known = new Map<string, Known[]>();
  readonly #latest = new Map<string, Known>();
  #count = 0;

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
  }

  /**
   * `DeltaDiscoveryResponse`: system_version_info 1, resources 2, type_url 4, nonce 5, removed_resources 6. `DiscoveryResponse` has the same numbers
   * and nothing removed; its resources are plain Anys.
   */
  read(message: Buffer): Response {
    let type = '';
    let nonce = '';
    let version = '';
    const spans: number[] = [];
    const removed: string[] = [];
    eachField(message, 0, message.length, (field) => {
      if (field.number === 2) spans.push(field.start, field.end);
      else if (field.number === 1) version = textOf(message, field);
      else if (field.number === 4) type = textOf(message, field);
      else if (field.number === 5) nonce = textOf(message, field);
      else if (field.number === 6) removed.push(textOf(message, field));
    });
    const [start] = spans;
    if (start === undefined) return { nonce, version, content: { type, resources: [], removed, references: [] } };
    const end = spans.at(-1) ?? start;
    const key = `${type} ${end - start} ${spans.length} ${removed.join(' ')}`;
    const found = this.#known.get(key)?.find((known) => sameBytes(message, start, end, known.message, known.spans[0], known.spans.at(-1)));
    if (found !== undefined) return { nonce, version, content: found.content };
    const readOne = this.#protocol === 'delta' ? readResource : readPlainResource;
    const content = readContent(type, message, spans, removed, this.#latest.get(type), readOne);
    this.#keep(key, { message, spans, content });
    return { nonce, version, content };
  }

  #keep(key: string, known: Known): void {
    this.#latest.set(known.content.type, known);
    if (++this.#count > maxKnown) {
      this.#known.clear();
      this.#count = 1;
    }
    const same = this.#known.get(key);
    if (same === undefined) this.#known.set(key, [known]);
    else same.push(known);
  }
}

/** Resources mostly come in the order of the response before, with some more or fewer in between. */
function readContent(
  type: string,
  message: Buffer,
  spans: readonly number[],
  removed: readonly string[],
  latest: Known | undefined,
  readOne: typeof readResource,
): Content {
  const resources: ReceivedResource[] = [];
  let shift = 0;
  for (let i = 0; i < spans.length; i += 2) {
    const [start = 0, end = 0] = [spans[i], spans[i + 1]];
    const step = latest === undefined ? undefined : [0, 2, -2].find((s) => isAt(latest, i + shift + s, message, start, end));
    const known = step === undefined ? undefined : latest?.content.resources[(i + shift + step) / 2];
    shift += step ?? 0;
    resources.push(known ?? readOne(type, message, start, end));
  }
  const references = [...new Set(resources.flatMap((resource) => resource.references))];
  const before = latest?.content.references ?? [];
  const same = references.length === before.length && references.every((name, i) => name === before[i]);
  // The same array, so that what is made of it is shared too.
  return { type, resources, removed, references: same ? before : references };
}

function isAt({ message, spans }: Known, index: number, other: Buffer, start: number, end: number): boolean {
  return sameBytes(other, start, end, message, spans[index], spans[index + 1]);
}

function sameBytes(a: Buffer, start: number, end: number, b: Buffer, bStart: number | undefined, bEnd: number | undefined): boolean {
  if (bStart === undefined || bEnd === undefined || end - start !== bEnd - bStart) return false;
  return a.compare(b, bStart, bEnd, start, end) === 0;
}

/** `Resource`: version 1, resource 2 (Any: type_url 1, value 2), name 3. */
function readResource(type: string, message: Buffer, start: number, end: number): ReceivedResource {
  let name = '';
  let version = '';
  let content = { start: end, end };
  eachField(message, start, end, (field) => {
    if (field.number === 1) version = textOf(message, field);
    else if (field.number === 3) name = textOf(message, field);
    else if (field.number === 2) content = anyOf(message, field);
  });
  return { name, version, ...readMessage(type, message, content.start, content.end) };
}

/** An Any over SotW: the name is in the message itself, as its field 1 in all the types that a sidecar follows. */
function readPlainResource(type: string, message: Buffer, start: number, end: number): ReceivedResource {
  let name = '';
  const content = anyOf(message, { start, end });
  eachField(message, content.start, content.end, (field) => {
    if (field.number === 1) name = textOf(message, field);
  });
  return { name, version: '', ...readMessage(type, message, content.start, content.end) };
}

function readMessage(type: string, message: Buffer, start: number, end: number): Pick<ReceivedResource, 'references' | 'vhds'> {
  return {
    references:
      type === types.clusters ? loadAssignmentsOf(message, start, end) : type === types.listeners ? routeTablesOf(message, start, end) : [],
    vhds: type === types.routes && hasField(message, start, end, 9),
  };
}

/** `Any`: type_url 1, value 2. */
function anyOf(message: Buffer, at: Pick<Field, 'start' | 'end'>): { type: string; start: number; end: number } {
  const any = { type: '', start: at.end, end: at.end };
  eachField(message, at.start, at.end, (field) => {
    if (field.number === 1) any.type = textOf(message, field);
    else if (field.number === 2) {
      any.start = field.start;
      any.end = field.end;
    }
  });
  return any;
}

/** `Cluster`: name 1, type 2, eds_cluster_config 3 (service_name 2, which defaults to the cluster's name). */
function loadAssignmentsOf(message: Buffer, start: number, end: number): string[] {
  let name = '';
  let service = '';
  let eds = false;
  eachField(message, start, end, (field) => {
    if (field.number === 1) name = textOf(message, field);
    else if (field.number === 2) eds = field.value === edsDiscovery;
    else if (field.number === 3)
      eachField(message, field.start, field.end, (inner) => {
        if (inner.number === 2) service = textOf(message, inner);
      });
  });
  return eds ? [service === '' ? name : service] : [];
}

/**
 * `Listener`: filter_chains 3 and default_filter_chain 25 (filters 3: typed_config 4), api_listener 19 (api_listener 1); of each HTTP connection
 * manager: rds 3 (route_config_name 2).
 */
function routeTablesOf(message: Buffer, start: number, end: number): string[] {
  const names = new Set<string>();
  const manager = (at: Field): void => {
    const any = anyOf(message, at);
    if (!any.type.endsWith(hcmType)) return;
    eachField(message, any.start, any.end, (field) => {
      if (field.number !== 3) return;
      eachField(message, field.start, field.end, (inner) => {
        if (inner.number === 2) names.add(textOf(message, inner));
      });
    });
  };
  eachField(message, start, end, (field) => {
    if (field.number === 19) {
      eachField(message, field.start, field.end, (inner) => {
        if (inner.number === 1) manager(inner);
      });
    }
    if (field.number !== 3 && field.number !== 25) return;
    eachField(message, field.start, field.end, (inner) => {
      if (inner.number !== 3) return;
      eachField(message, inner.start, inner.end, (filter) => {
        if (filter.number === 4) manager(filter);
      });
    });
  });
  return [...names];
}

function hasField(message: Buffer, start: number, end: number, number: number): boolean {
  let found = false;
  eachField(message, start, end, (field) => (found ||= field.number === number));
  return found;
}
