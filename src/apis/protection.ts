/**
 * Where objects of kinds that are not translated may protect a workload: what they would refuse must not be let through because they are missing, so
 * whoever they select is held back. What they would change without refusing anything is only missing.
 */
import { indexPath } from '../lib/path.ts';
import { isObject } from './structure.ts';

export interface Protection {
  /** Of the field that says so; empty for the object as a whole. */
  readonly path: string;
  /** The inbound side of sidecars is concerned. */
  readonly sidecars: boolean;
  readonly gateways: boolean;
}

/** Kinds that are read for this alone. */
const finders: Readonly<Record<string, (spec: Readonly<Record<string, unknown>>) => Protection[]>> = {
  WasmPlugin: ofExtension,
  TrafficExtension: ofExtension,
  EnvoyFilter: ({ configPatches }) => (Array.isArray(configPatches) ? configPatches.flatMap(ofPatch) : []),
};

export function mayProtect(kind: string): boolean {
  return Object.hasOwn(finders, kind);
}

/** Also for a spec that does not fit its schema: what cannot be read is taken to protect. */
export function protections(kind: string, spec: unknown): Protection[] {
  if (!Object.hasOwn(finders, kind)) return [];
  return isObject(spec) ? (finders[kind]?.(spec) ?? []) : [];
}

const securityPhases = new Set<unknown>(['AUTHN', 'AUTHZ']);

/** By its phase; a script by what it does where it has none. STATS comes after everything that decides. */
function ofExtension(spec: Readonly<Record<string, unknown>>): Protection[] {
  const { phase, lua, match } = spec;
  const readable = phase === undefined || typeof phase === 'string';
  const secures = !readable || securityPhases.has(phase);
  const script = phase !== 'STATS' && isObject(lua) && refuses(lua['inlineCode']);
  if (!secures && !script) return [];
  const modes = Array.isArray(match) && match.length > 0 ? match.map((m: unknown) => (isObject(m) ? m['mode'] : undefined)) : [undefined];
  const sidecars = modes.some((mode) => mode !== 'CLIENT');
  // To Istio a gateway is a client of the mesh.
  const gateways = modes.some((mode) => mode !== 'SERVER');
  return sidecars || gateways ? [{ path: secures ? 'spec.phase' : 'spec.lua', sidecars, gateways }] : [];
}

/** A script of Lua refuses by an answer of its own. */
function refuses(code: unknown): boolean {
  return typeof code !== 'string' || /\brespond\b/.test(code);
}

/** Patches of what requests pass on their way in. Clusters, the bootstrap and listener filters decide on none. */
const onTheWayIn = new Set<unknown>([
  'LISTENER',
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
  'EXTENSION_CONFIG',
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
]);

function ofPatch(value: unknown, index: number): Protection[] {
  if (!isObject(value)) return [];
  const { applyTo } = value;
  const match = isObject(value['match']) ? value['match'] : {};
  const patch = isObject(value['patch']) ? value['patch'] : {};
  if (!onTheWayIn.has(applyTo) || patch['operation'] === 'REMOVE') return [];
  const context = match['context'] ?? 'ANY';
  const sidecars = context !== 'SIDECAR_OUTBOUND' && context !== 'GATEWAY' && context !== 'WAYPOINT';
  const gateways = context !== 'SIDECAR_OUTBOUND' && context !== 'SIDECAR_INBOUND' && context !== 'WAYPOINT';
  if ((!sidecars && !gateways) || !protects(match, patch)) return [];
  return [{ path: indexPath('spec.configPatches', index), sidecars, gateways }];
}

const changesMatched = new Set<unknown>(['MERGE', 'REPLACE', 'MERGE_AND_REPLACE_LIST']);

function protects(match: Readonly<Record<string, unknown>>, patch: Readonly<Record<string, unknown>>): boolean {
  const { operation, value, filterClass } = patch;
  if (securityPhases.has(filterClass)) return true;
  if (changesMatched.has(operation) && matchedFilters(match).some((name) => protectingFilter(name) !== undefined)) return true;
  return filterClass !== 'STATS' && holdsProtection(value);
}

/** Names of the filter and its sub-filter that a patch is for. */
function matchedFilters({ listener, waypoint }: Readonly<Record<string, unknown>>): string[] {
  const chain = isObject(listener) ? listener['filterChain'] : undefined;
  return [isObject(chain) ? chain['filter'] : undefined, isObject(waypoint) ? waypoint['filter'] : undefined].flatMap((filter) => {
    if (!isObject(filter)) return [];
    const sub = isObject(filter['subFilter']) ? filter['subFilter']['name'] : undefined;
    return [filter['name'], sub].filter((name) => typeof name === 'string');
  });
}

/**
 * Filters that refuse, by the last part of their name or the package of their type: who is not proven or not allowed, and those that run somebody
 * else's code, of which nobody knows. Rate limits are not among them: a missing one is no way in, and holding everything back would be the very outage that
 * they are to prevent.
 */
const refusing = new Set([
  'rbac',
  'jwt_authn',
  'ext_authz',
  'oauth2',
  'basic_auth',
  'api_key_auth',
  'csrf',
  'wasm',
  'ext_proc',
  'golang',
  'dynamic_modules',
]);

/** Which of them a name or type is, if any. */
function protectingFilter(name: unknown): string | undefined {
  if (typeof name !== 'string') return undefined;
  const filter = /^envoy\.(?:extensions\.)?filters\.(?:http|network)\.([a-z0-9_]+)/.exec(name)?.[1];
  return filter !== undefined && refusing.has(filter) ? filter : undefined;
}

/** Whether a configuration names such a filter anywhere: alone, in a chain, in another filter, or as the settings of a route. */
function holdsProtection(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsProtection);
  if (!isObject(value)) return false;
  const type = typeof value['@type'] === 'string' ? value['@type'].slice(value['@type'].lastIndexOf('/') + 1) : '';
  const typeUrl = value['type_url'] ?? value['typeUrl'];
  const wrapped = typeof typeUrl === 'string' ? typeUrl.slice(typeUrl.lastIndexOf('/') + 1) : '';
  const filters = [type, wrapped, value['name']].map(protectingFilter).filter((filter) => filter !== undefined);
  if (filters.length > 0) return filters.some((filter) => filter !== 'wasm') || !isOwnStatistics(value);
  if ([type, wrapped].some(isLua)) return refusesByLua(value);
  if ([type, wrapped].some(isDownstreamTls)) return provesClients(value);
  if (isRefusal(value['direct_response'] ?? value['directResponse'])) return true;
  return Object.values(value).some(holdsProtection);
}

/** Istio's own plugins of old, compiled into the proxy: they count. */
function isOwnStatistics(value: Readonly<Record<string, unknown>>): boolean {
  const text = JSON.stringify(value);
  return /envoy\.wasm\.(stats|metadata_exchange)|"istio\.(stats|metadata_exchange)"|envoy\.wasm\.runtime\.null/.test(text);
}

const isLua = (type: string): boolean => type.startsWith('envoy.extensions.filters.http.lua.');
const isDownstreamTls = (type: string): boolean => type === 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';

/** Code that is not written out is somebody else's, as above. */
function refusesByLua(value: unknown): boolean {
  return hasRemoteCode(value) || strings(value).some(refuses);
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}

function hasRemoteCode(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasRemoteCode);
  if (!isObject(value)) return false;
  return (
    ['filename', 'environment_variable', 'environmentVariable'].some((field) => value[field] !== undefined) ||
    Object.values(value).some(hasRemoteCode)
  );
}

/** A route that answers by itself, and not with success. */
function isRefusal(response: unknown): boolean {
  return isObject(response) && !(typeof response['status'] === 'number' && response['status'] < 400);
}

/** Cipher suites and versions are no proof of who calls. */
function provesClients(value: unknown): boolean {
  return /"(require_client_certificate|requireClientCertificate)":true|"[a-zA-Z_]*[vV]alidation_?[cC]ontext/.test(JSON.stringify(value));
}
