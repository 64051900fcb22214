/** Reads DeltaDiscoveryResponses as far as a sidecar must to know what to ask for next. */
import { eachField, textOf, type Field } from './protobuf.ts';
import * as types from './types.ts';

/** One resource of a response. */
export interface ReceivedResource {
  readonly name: string;
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

export interface DeltaResponse {
  readonly nonce: string;
  readonly content: Content;
}

interface Known {
  readonly bytes: Buffer;
  readonly content: Content;
}

const hcmType = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
/** `Cluster.DiscoveryType.EDS`. */
const edsDiscovery = 3;
/** Distinct contents that are kept. A change has a few, each received by all streams at about the same time. */
const maxKnown = 64;

/**
 * Decodes each distinct content once: proxies of one scope receive equal bytes but for the nonce, and comparing is ten times
 * cheaper than reading.
 */
export class ResponseReader {
  readonly #known = new Map<string, Known[]>();
  #count = 0;

  read(message: Buffer): DeltaResponse {
    let type = '';
    let nonce = '';
    const resources: Field[] = [];
    const removed: string[] = [];
    let start = Number.MAX_SAFE_INTEGER;
    let end = 0;
    eachField(message, 0, message.length, (field) => {
      if (field.number === 2) {
        resources.push({ ...field });
        start = Math.min(start, field.start);
        end = Math.max(end, field.end);
      } else if (field.number === 4) type = textOf(message, field);
      else if (field.number === 5) nonce = textOf(message, field);
      else if (field.number === 6) removed.push(textOf(message, field));
    });
    if (resources.length === 0) return { nonce, content: { type, resources: [], removed, references: [] } };
    const bytes = message.subarray(start, end);
    const key = `${type} ${bytes.length} ${resources.length} ${removed.join(' ')}`;
    const found = this.#known.get(key)?.find((known) => known.bytes.equals(bytes));
    if (found !== undefined) return { nonce, content: found.content };
    const read = resources.map((field) => readResource(type, message, field));
    const references = [...new Set(read.flatMap((resource) => resource.references))];
    const content = { type, resources: read, removed, references };
    this.#keep(key, { bytes, content });
    return { nonce, content };
  }

  #keep(key: string, known: Known): void {
    if (++this.#count > maxKnown) {
      this.#known.clear();
      this.#count = 1;
    }
    const same = this.#known.get(key);
    if (same === undefined) this.#known.set(key, [known]);
    else same.push(known);
  }
}

/** `Resource`: version 1, resource 2 (Any: type_url 1, value 2), name 3. */
function readResource(type: string, message: Buffer, at: Field): ReceivedResource {
  let name = '';
  let version = '';
  let references: string[] = [];
  let vhds = false;
  eachField(message, at.start, at.end, (field) => {
    if (field.number === 1) version = textOf(message, field);
    else if (field.number === 3) name = textOf(message, field);
    else if (field.number === 2) {
      const { start, end } = anyOf(message, field);
      if (type === types.clusters) references = loadAssignmentsOf(message, start, end);
      else if (type === types.listeners) references = routeTablesOf(message, start, end);
      else if (type === types.routes) vhds = hasField(message, start, end, 9);
    }
  });
  return { name, version, references, vhds };
}

/** `Any`: type_url 1, value 2. */
function anyOf(message: Buffer, at: Field): { type: string; start: number; end: number } {
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
