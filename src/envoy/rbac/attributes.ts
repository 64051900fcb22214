/**
 * What a rule of an AuthorizationPolicy can ask for, one attribute each: which half of an Envoy RBAC policy it belongs to and how its values
 * become matchers. `httpOnly` attributes do not exist on TCP.
 */
import { create } from '@bufbuild/protobuf';
import { type Permission, PermissionSchema, type Principal, PrincipalSchema } from '#gen/envoy/config/rbac/v3/rbac_pb.js';
import { UriTemplateMatchConfigSchema } from '#gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js';
import type { MetadataMatcher } from '#gen/envoy/type/matcher/v3/metadata_pb.js';
import type { StringMatcher } from '#gen/envoy/type/matcher/v3/string_pb.js';
import { packAny } from '../../wire/encode.ts';
import {
  anyOfValues,
  anyString,
  claimAny,
  claimString,
  containsPathTemplate,
  exactString,
  headerMatcher,
  hostMatcher,
  listValue,
  metadataMatcher,
  pathMatcher,
  pathTemplateMatcher,
  policyString,
  prefixString,
  quoteRegex,
  regexString,
  stringValue,
  suffixString,
} from './matchers.ts';
import { nameInBrackets, namesInBrackets, parseCidr, parsePort } from './parse.ts';
import { expandPrincipals, expandTrustDomains } from './trust-domain.ts';

export interface RuleContext {
  /** Namespace of the policy: where a service account without namespace lives. */
  readonly namespace: string;
  /** Own trust domain first, then its aliases. */
  readonly trustDomains: readonly string[];
  /**
   * Where the peer's identity is: its certificate, or, behind an HBONE tunnel that Istio's proxy ended, filter state `io.istio.peer_principal`.
   */
  readonly peer: 'certificate' | 'filterState';
}

/** A matcher, or why the value is none. */
export type Made<T> = { readonly made: T } | { readonly error: string };

interface Shared {
  readonly httpOnly?: true;
  /** Trust domains that mean the same are added before matching. */
  readonly expand?: (values: readonly string[], trustDomains: readonly string[]) => string[];
}

/** `each`: the values are alternatives, joined by the caller. `all`: one matcher for all values together. */
export type Half<T> =
  | { readonly each: (value: string, key: string, context: RuleContext) => Made<T> }
  | { readonly all: (values: readonly string[], key: string, context: RuleContext) => Made<T> };

export type PermissionAttribute = Shared & { readonly half: 'permission' } & Half<Permission>;
export type PrincipalAttribute = Shared & { readonly half: 'principal' } & Half<Principal>;
export type Attribute = PermissionAttribute | PrincipalAttribute;

const permission = (rule: Permission['rule']): Permission => create(PermissionSchema, { rule });
const principal = (identifier: Principal['identifier']): Principal => create(PrincipalSchema, { identifier });
const invalid = (value: string, what: string): { readonly error: string } => ({ error: `${JSON.stringify(value)} is not ${what}` });

function cidr<T>(value: string, make: (range: NonNullable<ReturnType<typeof parseCidr>>) => T): Made<T> {
  const range = parseCidr(value);
  return range === undefined ? invalid(value, 'an IP address or CIDR') : { made: make(range) };
}

/** The peer by what its identity looks like. */
export function peerIdentity(name: StringMatcher, peer: RuleContext['peer']): Principal {
  if (peer === 'certificate') {
    return create(PrincipalSchema, { identifier: { case: 'authenticated', value: { principalName: name } } });
  }
  return create(PrincipalSchema, {
    identifier: { case: 'filterState', value: { key: 'io.istio.peer_principal', matcher: { case: 'stringMatch', value: name } } },
  });
}

/** `[<namespace>/]<name>` in any trust domain; further parts of the identity around them are allowed, longer names are not. */
export function serviceAccountRegex(defaultNamespace: string, value: string): string {
  const slash = value.indexOf('/');
  const namespace = slash < 0 ? defaultNamespace : value.slice(0, slash);
  const name = slash < 0 ? value : value.slice(slash + 1);
  return `spiffe://.+/ns/${quoteRegex(namespace)}/(.+/|)sa/${quoteRegex(name)}(/.+)?`;
}

function trustDomainMatcher(value: string): StringMatcher {
  if (value === '*') return prefixString('spiffe://');
  const star = value.indexOf('*');
  if (star < 0) return prefixString(`spiffe://${value}/`);
  return regexString(`spiffe://${quoteRegex(value.slice(0, star))}[^/]*${quoteRegex(value.slice(star + 1))}/.*`);
}

/** `<issuer>/<subject>`; the issuer may contain slashes itself. A `*` stands in for either, or for an end of either. */
function requestPrincipal(value: string): Principal {
  const slash = value.lastIndexOf('/');
  const whole = slash < 0;
  const issuer = whole ? value : value.slice(0, slash);
  const subject = whole ? '' : value.slice(slash + 1);
  let iss = exactString(issuer);
  let sub = exactString(subject);
  if (value === '*') {
    iss = anyString();
    sub = anyString();
  } else if (value.startsWith('*')) {
    iss = whole || issuer === '*' ? anyString() : suffixString(issuer.slice(1));
    if (whole) sub = suffixString(value.slice(1));
  } else if (value.endsWith('*')) {
    if (whole) iss = prefixString(value.slice(0, -1));
    sub = whole || subject === '*' ? anyString() : prefixString(subject.slice(0, -1));
  }
  const ids = [metadata(claimString('iss', iss)), metadata(claimString('sub', sub))];
  return create(PrincipalSchema, { identifier: { case: 'andIds', value: { ids } } });
}

const metadata = (value: MetadataMatcher): Principal => principal({ case: 'metadata', value });

const or = (ids: Principal[]): Principal => create(PrincipalSchema, { identifier: { case: 'orIds', value: { ids } } });

/** `experimental.envoy.filters.a.b[c]`: key `c` of what filter `envoy.filters.a.b` wrote to the metadata. */
function dynamicMetadata(values: readonly string[], key: string): Made<Permission> {
  const text = key.slice('experimental.'.length);
  const open = text.indexOf('[');
  if (open < 0) return { error: `${JSON.stringify(key)} has not the form experimental.envoy.filters.<filter>[<key>]` };
  const name = text.slice(open + 1).replace(/\]$/, '');
  const matchers = values.map((value) =>
    value.startsWith('[') && value.endsWith(']')
      ? listValue(stringValue(policyString(value.replace(/^[[\]]+|[[\]]+$/g, ''))))
      : stringValue(policyString(value)),
  );
  return { made: permission({ case: 'metadata', value: metadataMatcher(text.slice(0, open), [name], anyOfValues(matchers)) }) };
}

const claims = (path: readonly string[]): PrincipalAttribute => ({
  half: 'principal',
  httpOnly: true,
  all: (values) => ({ made: metadata(claimAny(path, values)) }),
});

export const hosts: PermissionAttribute = {
  half: 'permission',
  httpOnly: true,
  each: (value) => ({ made: permission({ case: 'header', value: hostMatcher(':authority', value) }) }),
};

export const methods: PermissionAttribute = {
  half: 'permission',
  httpOnly: true,
  each: (value) => ({ made: permission({ case: 'header', value: headerMatcher(':method', value) }) }),
};

export const paths: PermissionAttribute = {
  half: 'permission',
  httpOnly: true,
  each: (value) => {
    if (!containsPathTemplate(value)) return { made: permission({ case: 'urlPath', value: pathMatcher(value) }) };
    const typedConfig = packAny(UriTemplateMatchConfigSchema, pathTemplateMatcher(value));
    return { made: create(PermissionSchema, { rule: { case: 'uriTemplate', value: { name: 'uri-template', typedConfig } } }) };
  },
};

export const ports: PermissionAttribute = {
  half: 'permission',
  each: (value) => {
    const port = parsePort(value);
    return port === undefined ? invalid(value, 'a port') : { made: permission({ case: 'destinationPort', value: port }) };
  },
};

const destinationIp: PermissionAttribute = {
  half: 'permission',
  each: (value) => cidr(value, (range) => permission({ case: 'destinationIp', value: range })),
};

const serverName: PermissionAttribute = {
  half: 'permission',
  each: (value) => ({ made: permission({ case: 'requestedServerName', value: policyString(value) }) }),
};

export const principals: PrincipalAttribute = {
  half: 'principal',
  expand: expandPrincipals,
  each: (value, _, { peer }) => ({ made: peerIdentity(policyString(value, 'spiffe://'), peer) }),
};

export const namespaces: PrincipalAttribute = {
  half: 'principal',
  each: (value, _, { peer }) => {
    const name = value.split('*').map(quoteRegex).join('.*');
    return { made: peerIdentity(regexString(`.*/ns/${name}/.*`), peer) };
  },
};

export const serviceAccounts: PrincipalAttribute = {
  half: 'principal',
  each: (value, _, { namespace, peer }) => ({ made: peerIdentity(regexString(serviceAccountRegex(namespace, value)), peer) }),
};

export const trustDomains: PrincipalAttribute = {
  half: 'principal',
  expand: expandTrustDomains,
  each: (value, _, { peer }) => ({ made: peerIdentity(trustDomainMatcher(value), peer) }),
};

/** The connection's own source address. */
export const ipBlocks: PrincipalAttribute = {
  half: 'principal',
  each: (value) => cidr(value, (range) => principal({ case: 'directRemoteIp', value: range })),
};

/** The client's address by X-Forwarded-For or the PROXY protocol. */
export const remoteIpBlocks: PrincipalAttribute = {
  half: 'principal',
  each: (value) => cidr(value, (range) => principal({ case: 'remoteIp', value: range })),
};

export const requestPrincipals: PrincipalAttribute = {
  half: 'principal',
  httpOnly: true,
  all: (values) => {
    const made = values.map(requestPrincipal);
    return { made: made.length === 1 && made[0] !== undefined ? made[0] : or(made) };
  },
};

const requestHeader: PrincipalAttribute = {
  half: 'principal',
  httpOnly: true,
  each: (value, key) => {
    const name = nameInBrackets(key.slice('request.headers'.length));
    if (name === undefined) return { error: `${JSON.stringify(key)} has not the form request.headers[<name>]` };
    return { made: principal({ case: 'header', value: headerMatcher(name, value) }) };
  },
};

const requestClaims: PrincipalAttribute = {
  half: 'principal',
  httpOnly: true,
  all: (values, key) => {
    const path = namesInBrackets(key.slice('request.auth.claims'.length));
    if (path === undefined) return { error: `${JSON.stringify(key)} has not the form request.auth.claims[<claim>]` };
    return { made: metadata(claimAny(path, values)) };
  },
};

const byKey: Readonly<Record<string, Attribute>> = {
  'destination.ip': destinationIp,
  'destination.port': ports,
  'connection.sni': serverName,
  'source.ip': ipBlocks,
  'remote.ip': remoteIpBlocks,
  'source.namespace': namespaces,
  'source.trustDomain': trustDomains,
  'source.serviceAccount': serviceAccounts,
  'source.principal': principals,
  'request.auth.principal': requestPrincipals,
  'request.auth.audiences': claims(['aud']),
  'request.auth.presenter': claims(['azp']),
};

/** The attribute of a `when` condition; undefined when there is none of that name. */
export function attributeOf(key: string): Attribute | undefined {
  if (Object.hasOwn(byKey, key)) return byKey[key];
  if (key.startsWith('request.headers')) return requestHeader;
  if (key.startsWith('request.auth.claims')) return requestClaims;
  if (key.startsWith('experimental.')) return { half: 'permission', all: dynamicMetadata };
  return undefined;
}
