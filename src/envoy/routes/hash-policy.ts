import { create } from '@bufbuild/protobuf';
import { type RouteAction_HashPolicy, RouteAction_HashPolicySchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import type { ConsistentHash } from '../../apis/traffic-policy.ts';
import { durationOf } from '../duration.ts';

/** What is hashed to choose an endpoint; undefined where the rule names nothing, and Envoy chooses at random. */
export function buildHashPolicy(hash: ConsistentHash | undefined): RouteAction_HashPolicy | undefined {
  const policySpecifier = hash === undefined ? undefined : specifier(hash);
  return policySpecifier === undefined ? undefined : create(RouteAction_HashPolicySchema, { policySpecifier });
}

type Specifier = NonNullable<Parameters<typeof create<typeof RouteAction_HashPolicySchema>>[1]>['policySpecifier'];

function specifier(hash: ConsistentHash): Specifier {
  if (hash.httpHeaderName !== undefined) return { case: 'header', value: { headerName: hash.httpHeaderName } };
  if (hash.httpQueryParameterName !== undefined) return { case: 'queryParameter', value: { name: hash.httpQueryParameterName } };
  if (hash.useSourceIp === true) return { case: 'connectionProperties', value: { sourceIp: true } };
  const cookie = hash.httpCookie;
  if (cookie === undefined) return undefined;
  const ttl = durationOf(cookie.ttl);
  return {
    case: 'cookie',
    value: {
      name: cookie.name,
      path: cookie.path ?? '',
      attributes: (cookie.attributes ?? []).map(({ name, value = '' }) => ({ name, value })),
      ...(ttl && { ttl }),
    },
  };
}
