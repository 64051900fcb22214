/** What a proxy's parts hold, in the form of Envoy's own `/config_dump`, so that tools for the one read the other. */
import type { JsonObject, JsonValue, Registry } from '@bufbuild/protobuf';
import { bytesToJson } from '../wire/json.ts';
import { concat } from '../wire/join.ts';
import {
  clusterType,
  endpointType,
  listenerType,
  nameTableType,
  routeType,
  secretType,
  typeUrlOf,
  virtualHostType,
} from '../wire/types.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Explanation, Subscription, TypeUrl } from '../xds/source.ts';

/** What is dumped of a proxy; offline translation has no stream, but the same view. */
export type DumpSubject = Pick<Subscription, 'parts' | 'explain'>;

/** What of it. */
export interface DumpRequest {
  /** Resources of these types as they are, instead of Envoy's sections. */
  readonly types?: readonly TypeUrl[];
  /** Adds the section of endpoints, which Envoy and istiod leave out unless asked. */
  readonly endpoints?: boolean;
  /** Adds to each resource the objects that it was made from. */
  readonly explain?: boolean;
  /** Route tables as a proxy has them that takes their virtual hosts one by one: behind those of the table itself, by their resource names. */
  readonly vhds?: boolean;
}

export interface DumpOptions extends DumpRequest {
  readonly registry: Registry;
}

export interface ConfigDump extends JsonObject {
  configs: DumpSection[];
}

/** One `envoy.admin.v3.*ConfigDump`. */
export interface DumpSection extends JsonObject {
  '@type': string;
}

/** The parts must be settled. Whole route tables, also where the proxy takes their virtual hosts one by one; private keys are `[redacted]`. */
export function configDump(subject: DumpSubject, options: DumpOptions): ConfigDump {
  const steps = dumpSteps(subject, options);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Milliseconds of a clock that never goes back, and what gives others a turn. */
export interface Turns {
  now(): number;
  pause(): Promise<void>;
}

const turnMs = 10;

/** The same in turns: that of thousands of services takes a second. The parts must be settled when it is called, and may change while it goes on. */
export async function configDumpInTurns(subject: DumpSubject, options: DumpOptions, turns: Turns): Promise<ConfigDump> {
  const steps = dumpSteps(subject, options);
  for (;;) {
    for (const end = turns.now() + turnMs; turns.now() < end;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
    await turns.pause();
  }
}

/** Reads the parts in its first step, and pauses after each resource. */
function* dumpSteps(subject: DumpSubject, options: DumpOptions): Generator<void, ConfigDump> {
  const types = options.types ?? [clusterType, listenerType, routeType, ...(options.endpoints === true ? [endpointType] : []), secretType];
  const read = new Map([...types, virtualHostType].map((type) => [type, readResources(subject, type, options)]));
  const hasNames = subject.parts.some((part) => part.table(nameTableType) !== undefined);
  yield;
  const configs: DumpSection[] = [];
  for (const type of types) {
    const resources = read.get(type) ?? [];
    if (type === nameTableType) {
      // One resource, whatever it is put together from.
      if (hasNames) configs.push({ '@type': type, ...jsonOf(type, concat(...resources.map((r) => r.bytes)), options.registry) });
      continue;
    }
    const hosts =
      type === routeType ? yield* virtualHostsByTable(read.get(virtualHostType) ?? [], options) : new Map<string, JsonObject[]>();
    const dumped: DumpedResource[] = [];
    for (const resource of resources) {
      dumped.push(dumpResource(type, resource, hosts, options));
      yield;
    }
    if (options.types === undefined) configs.push(sectionOf(type, dumped));
    else configs.push(...dumped.map(({ json }) => ({ '@type': type, ...json })));
  }
  return { configs };
}

interface DumpedResource {
  readonly name: string;
  readonly version: string;
  readonly json: JsonObject;
  readonly objects: Explanation['objects'] | undefined;
}

type ReadResource = EncodedResource & { readonly objects?: Explanation['objects'] };

/** In the order of names. What they hold does not change any more. */
function readResources(subject: DumpSubject, type: TypeUrl, { explain }: DumpOptions): ReadResource[] {
  const resources = [...resourcesSeen(subject, type).values()].sort(byName);
  return explain === true ? resources.map((r) => ({ ...r, objects: subject.explain(type, r.name)?.objects ?? [] })) : resources;
}

function dumpResource(
  type: TypeUrl,
  resource: ReadResource,
  hosts: ReadonlyMap<string, JsonObject[]>,
  options: DumpOptions,
): DumpedResource {
  const json = jsonOf(type, resource.bytes, options.registry);
  const own = hosts.get(resource.name);
  const fixed = listOf(json['virtual_hosts']);
  if (own !== undefined) json['virtual_hosts'] = options.vhds === true ? [...fixed, ...own] : [...own, ...fixed];
  if (options.vhds === true && resource.vhds === true) json['vhds'] = vhdsByAds;
  const shown = type === secretType ? withoutKey(json) : json;
  return { name: resource.name, version: resource.version, json: { '@type': type, ...shown }, objects: resource.objects };
}

/** As the streams append it. */
const vhdsByAds: JsonObject = { config_source: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' } };

/** Resources `<table>/<host>`, with the name that they have in a whole table. */
function* virtualHostsByTable(resources: readonly ReadResource[], options: DumpOptions): Generator<void, Map<string, JsonObject[]>> {
  const byTable = new Map<string, JsonObject[]>();
  for (const resource of resources) {
    const slash = resource.name.indexOf('/');
    const table = resource.name.slice(0, slash);
    const hostName = options.vhds === true ? resource.name : resource.name.slice(slash + 1);
    const host: JsonObject = { name: hostName, ...jsonOf(virtualHostType, resource.bytes, options.registry) };
    if (resource.objects !== undefined) host['made_from'] = [...resource.objects];
    const known = byTable.get(table);
    if (known === undefined) byTable.set(table, [host]);
    else known.push(host);
    yield;
  }
  return byTable;
}

function sectionOf(type: TypeUrl, resources: readonly DumpedResource[]): DumpSection {
  const all = (wrap: (resource: DumpedResource) => JsonObject): JsonObject[] =>
    resources.map((r) => ({ ...wrap(r), ...(r.objects === undefined ? {} : { made_from: [...r.objects] }) }));
  switch (type) {
    case clusterType:
      return section('ClustersConfigDump', {
        dynamic_active_clusters: all((r) => ({ version_info: r.version, cluster: r.json })),
      });
    case listenerType:
      return section('ListenersConfigDump', {
        dynamic_listeners: all((r) => ({ name: r.name, active_state: { version_info: r.version, listener: r.json } })),
      });
    case routeType:
      return section('RoutesConfigDump', {
        dynamic_route_configs: all((r) => ({ version_info: r.version, route_config: r.json })),
      });
    case endpointType:
      return section('EndpointsConfigDump', {
        dynamic_endpoint_configs: all((r) => ({ version_info: r.version, endpoint_config: r.json })),
      });
    default:
      return section('SecretsConfigDump', {
        dynamic_active_secrets: all((r) => ({ name: r.name, version_info: r.version, secret: r.json })),
      });
  }
}

/** What the proxy sees, by name: a later part's resource or `hides` covers the same name of the earlier ones. */
export function resourcesSeen({ parts }: Pick<DumpSubject, 'parts'>, type: TypeUrl): Map<string, EncodedResource> {
  const seen = new Map<string, EncodedResource>();
  for (const part of parts) {
    const table = part.table(type);
    if (table === undefined) continue;
    for (const name of seen.keys()) if (table.hides(name)) seen.delete(name);
    for (const name of table.names()) {
      const resource = table.get(name);
      if (resource !== undefined) seen.set(name, resource);
    }
  }
  return seen;
}

function section(name: string, content: JsonObject): DumpSection {
  return { '@type': typeUrlOf(`envoy.admin.v3.${name}`), ...content };
}

function jsonOf(type: TypeUrl, bytes: Uint8Array, registry: Registry): JsonObject {
  return bytesToJson(type, bytes, registry) as JsonObject;
}

/** base64 of `[redacted]`, as Envoy writes it. */
const redacted = 'W3JlZGFjdGVkXQ==';

function withoutKey(secret: JsonObject): JsonObject {
  const certificate = secret['tls_certificate'];
  if (!isObject(certificate) || certificate['private_key'] === undefined) return secret;
  return { ...secret, tls_certificate: { ...certificate, private_key: { inline_bytes: redacted } } };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
