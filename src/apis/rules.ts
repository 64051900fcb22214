/**
 * The rules that a JSON schema cannot say. The API server evaluates them in CEL, every other source in TypeScript: both forms stand together here,
 * and a test refuses a rule that has only one.
 */
import { parseDuration } from '../lib/duration.ts';

export interface Rule {
  readonly message: string;
  /** CEL, for the CRD. */
  readonly rule: string;
  /** The same for a value that already has the right structure. */
  readonly holds: (self: never) => boolean;
}

function rule<S>(message: string, cel: string, holds: (self: S) => boolean): Rule {
  return { message, rule: cel, holds };
}

type Fields = Readonly<Record<string, unknown>>;
type Map = Readonly<Record<string, unknown>>;

const count = (self: Fields, ...fields: readonly string[]) => fields.filter((field) => self[field] !== undefined).length;

const maxOneCel = (...fields: readonly string[]) => `${fields.map((field) => `(has(self.${field}) ? 1 : 0)`).join(' + ')} <= 1`;

export const duration = rule(
  'must be a valid duration greater than 1ms',
  "duration(self) >= duration('1ms')",
  (self: string) => (parseDuration(self) ?? 0n) >= 1_000_000n,
);

export const portNumber = rule('port must be between 1-65535', '0 < self && self <= 65535', (self: number) => self > 0 && self <= 65535);

export const portKeys = rule('port must be between 1-65535', 'self.all(key, 0 < int(key) && int(key) <= 65535)', (self: Map) =>
  Object.keys(self).every((key) => /^\d{1,5}$/.test(key) && Number(key) > 0 && Number(key) <= 65535),
);

export const portNameKeys = rule(
  'port name must be valid',
  'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))',
  (self: Map) => Object.keys(self).every((key) => key.length < 63 && /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(key)),
);

export const portNumbersDiffer = rule(
  'port number cannot be duplicated',
  'self.all(l1, self.exists_one(l2, l1.number == l2.number))',
  (self: readonly { number: number }[]) => new Set(self.map((port) => port.number)).size === self.length,
);

export const labelValueWithoutWildcard = rule(
  'wildcard not allowed in label value match',
  '!self.contains("*")',
  (self: string) => !self.includes('*'),
);

export const selectorWithoutWildcard = rule(
  'wildcard is not supported in selector',
  '!self.contains("*")',
  (self: string) => !self.includes('*'),
);

export const labelKeysWithoutWildcard = rule('wildcard not allowed in label key match', 'self.all(key, !key.contains("*"))', (self: Map) =>
  Object.keys(self).every((key) => !key.includes('*')),
);

export const labelKeysNotEmpty = rule('key must not be empty', 'self.all(key, key.size() != 0)', (self: Map) => !Object.hasOwn(self, ''));

export const ownNamespaceOnly = rule(
  'cross namespace referencing is not currently supported',
  'self.size() == 0',
  (self: string) => self === '',
);

export const selectorOrTargets = rule(
  'only one of targetRefs or selector can be set',
  maxOneCel('selector', 'targetRef', 'targetRefs'),
  (self: Fields) => count(self, 'selector', 'targetRef', 'targetRefs') <= 1,
);

export const credentialNamesOrCertificates = rule(
  'only one of credentialNames or tlsCertificates can be set',
  maxOneCel('tlsCertificates', 'credentialNames'),
  (self: Fields) => count(self, 'tlsCertificates', 'credentialNames') <= 1,
);

export const credentialNameOrNames = rule(
  'only one of credentialName or credentialNames can be set',
  maxOneCel('credentialName', 'credentialNames'),
  (self: Fields) => count(self, 'credentialName', 'credentialNames') <= 1,
);

/** Istio's CRD repeats the fields of the first rule here, though the message names others; `validation/gateway.ts` holds what the message says. */
export const credentialNameOrCertificates = rule(
  'only one of credentialName or tlsCertificates can be set',
  maxOneCel('credentialNames', 'tlsCertificates'),
  (self: Fields) => count(self, 'credentialNames', 'tlsCertificates') <= 1,
);

export const selectorOrEndpoints = rule(
  'only one of WorkloadSelector or Endpoints can be set',
  maxOneCel('workloadSelector', 'endpoints'),
  (self: Fields) => count(self, 'workloadSelector', 'endpoints') <= 1,
);

interface ServiceEntryFields {
  readonly addresses?: readonly string[];
  readonly endpoints?: readonly unknown[];
  readonly resolution?: string;
}

export const cidrNeedsResolution = rule(
  'CIDR addresses are allowed only for NONE/STATIC resolution types',
  '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
  ({ addresses = [], resolution = 'NONE' }: ServiceEntryFields) =>
    resolution === 'STATIC' || resolution === 'NONE' || !addresses.some((address) => address.includes('/')),
);

export const noneWithoutEndpoints = rule(
  'NONE mode cannot set endpoints',
  '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true',
  ({ endpoints, resolution = 'NONE' }: ServiceEntryFields) => resolution !== 'NONE' || endpoints === undefined,
);

export const roundRobinSingleEndpoint = rule(
  'DNS_ROUND_ROBIN mode cannot have multiple endpoints',
  '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true',
  ({ endpoints = [], resolution }: ServiceEntryFields) => resolution !== 'DNS_ROUND_ROBIN' || endpoints.length <= 1,
);

export const hostNotWildcard = rule('hostname cannot be wildcard', 'self != "*"', (self: string) => self !== '*');

export const addressRequired = rule(
  'Address is required',
  'has(self.address) || has(self.network)',
  (self: Fields) => count(self, 'address', 'network') > 0,
);

interface WorkloadFields {
  readonly address?: string;
  readonly ports?: Map;
}

export const socketWithoutPorts = rule(
  'UDS may not include ports',
  '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true',
  ({ address = '', ports }: WorkloadFields) => !address.startsWith('unix://') || ports === undefined,
);

export const socketPathAbsolute = rule(
  'UDS must be an absolute path or abstract socket',
  'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true',
  (self: string) => !self.startsWith('unix://') || self[7] === '/' || self[7] === '@',
);

export const socketIsNoFolder = rule(
  'UDS may not be a dir',
  'self.startsWith("unix://") ? !self.endsWith("/") : true',
  (self: string) => !self.startsWith('unix://') || !self.endsWith('/'),
);

interface SourceFields extends Fields {
  readonly serviceAccounts?: readonly string[];
}

export const accountsAlone = rule(
  'Cannot set serviceAccounts with namespaces or principals',
  '(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) &&\n!has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true',
  (self: SourceFields) =>
    count(self, 'serviceAccounts', 'notServiceAccounts') === 0 ||
    count(self, 'principals', 'notPrincipals', 'namespaces', 'notNamespaces') === 0,
);

interface PeerFields {
  readonly portLevelMtls?: Map;
  readonly selector?: { readonly matchLabels?: Map };
}

export const portLevelNeedsSelector = rule(
  'portLevelMtls requires selector',
  'has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? self.selector.matchLabels : {}).size() > 0) : true',
  ({ portLevelMtls, selector }: PeerFields) => portLevelMtls === undefined || Object.keys(selector?.matchLabels ?? {}).length > 0,
);

export const oneKeySource = rule(
  'only one of jwks or jwksUri can be set',
  maxOneCel('jwksUri', 'jwks_uri', 'jwks'),
  (self: Fields) => count(self, 'jwksUri', 'jwks_uri', 'jwks') <= 1,
);

export const httpUrl = rule('url must have scheme http:// or https://', 'url(self).getScheme() in ["http", "https"]', (self: string) =>
  /^https?:\/\//i.test(self),
);

export const selectorOrTargetRefs = rule(
  'only one of targetRefs or selector can be set',
  maxOneCel('selector', 'targetRefs'),
  (self: Fields) => count(self, 'selector', 'targetRefs') <= 1,
);

export const wasmOrLua = rule(
  'exactly one of wasm or lua must be set',
  'has(self.wasm) != has(self.lua)',
  (self: Fields) => count(self, 'wasm', 'lua') === 1,
);

export const workloadSelectorOrTargets = rule(
  'only one of targetRefs or workloadSelector can be set',
  maxOneCel('workloadSelector', 'targetRefs'),
  (self: Fields) => count(self, 'workloadSelector', 'targetRefs') <= 1,
);

export const waypointMatchInContext = rule(
  'only support waypointMatch when context is WAYPOINT',
  'has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint)) : !has(self.waypoint)',
  (self: Fields) => (self['context'] === 'WAYPOINT') === (self['waypoint'] !== undefined),
);

export const inlineValueOnly = rule(
  'value may only be set when valueFrom is INLINE',
  '(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)',
  (self: Fields) => self['valueFrom'] !== 'HOST' || self['value'] === undefined,
);

/** Without a scheme it is an image of a registry. */
const moduleUrlRule = (schemes: string) =>
  rule(
    'url must have schema one of [http, https, file, oci]',
    `isURL(self) ? (url(self).getScheme() in [${schemes}]) : (isURL("http://" + self) &&\nurl("http://" + self).getScheme() in [${schemes}])`,
    (self: string) => /^((https?|oci|file):\/\/|[a-z0-9][a-z0-9._-]*(:\d+)?(\/|$))[^\s#]*$/i.test(self),
  );

export const moduleUrl = moduleUrlRule('"", "http", "https", "oci", "file"');
/** Istio lists the schemes in another order here, which a comparison of definitions notices. */
export const extensionModuleUrl = moduleUrlRule('"", "http", "https", "file", "oci"');
