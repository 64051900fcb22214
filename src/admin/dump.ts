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
  if (options.types !== undefined) return { configs: options.types.flatMap((type) => resourcesOf(subject, type, options)) };
  const dump = (type: TypeUrl, wrap: (resource: DumpedResource) => JsonObject): JsonObject[] =>
    dumped(subject, type, options).map((r) => ({ ...wrap(r), ...(r.objects === undefined ? {} : { made_from: [...r.objects] }) }));
  return {
    configs: [
      section('ClustersConfigDump', {
        dynamic_active_clusters: dump(clusterType, (r) => ({ version_info: r.version, cluster: r.json })),
      }),
      section('ListenersConfigDump', {
        dynamic_listeners: dump(listenerType, (r) => ({ name: r.name, active_state: { version_info: r.version, listener: r.json } })),
      }),
      section('RoutesConfigDump', {
        dynamic_route_configs: dump(routeType, (r) => ({ version_info: r.version, route_config: r.json })),
      }),
      ...(options.endpoints === true
        ? [
            section('EndpointsConfigDump', {
              dynamic_endpoint_configs: dump(endpointType, (r) => ({ version_info: r.version, endpoint_config: r.json })),
            }),
          ]
        : []),
      section('SecretsConfigDump', {
        dynamic_active_secrets: dump(secretType, (r) => ({ name: r.name, version_info: r.version, secret: withoutKey(r.json) })),
      }),
    ],
  };
}

/** A name table is one resource, whatever it is put together from. */
function resourcesOf(subject: DumpSubject, type: TypeUrl, options: DumpOptions): DumpSection[] {
  if (type !== nameTableType) {
    return dumped(subject, type, options).map(({ json }) => ({ '@type': type, ...(type === secretType ? withoutKey(json) : json) }));
  }
  if (!subject.parts.some((part) => part.table(type) !== undefined)) return [];
  const entries = [...resourcesSeen(subject, type).values()].map((resource) => resource.bytes);
  return [{ '@type': type, ...jsonOf(type, concat(...entries), options.registry) }];
}

interface DumpedResource {
  readonly name: string;
  readonly version: string;
  readonly json: JsonObject;
  readonly objects: Explanation['objects'] | undefined;
}

function dumped(subject: DumpSubject, type: TypeUrl, options: DumpOptions): DumpedResource[] {
  const hosts = type === routeType ? virtualHostsByTable(subject, options) : new Map<string, JsonObject[]>();
  return [...resourcesSeen(subject, type).values()].sort(byName).map((resource) => {
    const json = jsonOf(type, resource.bytes, options.registry);
    const own = hosts.get(resource.name);
    const fixed = listOf(json['virtual_hosts']);
    if (own !== undefined) json['virtual_hosts'] = options.vhds === true ? [...fixed, ...own] : [...own, ...fixed];
    if (options.vhds === true && resource.vhds === true) json['vhds'] = vhdsByAds;
    const objects = options.explain === true ? (subject.explain(type, resource.name)?.objects ?? []) : undefined;
    return { name: resource.name, version: resource.version, json: { '@type': type, ...json }, objects };
  });
}

/** As the streams append it. */
const vhdsByAds: JsonObject = { config_source: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' } };

/** Resources `<table>/<host>`, with the name that they have in a whole table. */
function virtualHostsByTable(subject: DumpSubject, options: DumpOptions): Map<string, JsonObject[]> {
  const byTable = new Map<string, JsonObject[]>();
  for (const resource of [...resourcesSeen(subject, virtualHostType).values()].sort(byName)) {
    const slash = resource.name.indexOf('/');
    const table = resource.name.slice(0, slash);
    const hostName = options.vhds === true ? resource.name : resource.name.slice(slash + 1);
    const host: JsonObject = { name: hostName, ...jsonOf(virtualHostType, resource.bytes, options.registry) };
    if (options.explain === true) host['made_from'] = [...(subject.explain(virtualHostType, resource.name)?.objects ?? [])];
    byTable.set(table, [...(byTable.get(table) ?? []), host]);
  }
  return byTable;
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
