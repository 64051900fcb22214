/** Our check of field rules and Envoy's own refuse the same messages, for the same reason in the same words. */
import { beforeAll, expect, it } from 'vitest';
import { ClusterSchema, type Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema, type Listener } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { fromJson } from '../../src/wire/json.ts';
import { clusterType, listenerType } from '../../src/wire/types.ts';
import { createValidator } from '../../src/wire/validate.ts';
import { registry } from './harness/proto.ts';
import { validateConfig, type Validation } from './harness/validate.ts';

type Json = Record<string, unknown>;

const validator = createValidator(registry);
let envoy: string;
beforeAll(async () => {
  envoy = await envoyBinary();
});

function message(typeUrl: string, json: Json): unknown {
  const parsed = fromJson(typeUrl, json, registry);
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.message;
}

function cluster(fields: Json): Cluster {
  return message(clusterType, { name: 'a', connect_timeout: '1s', ...fields }) as Cluster;
}

const extensions = 'type.googleapis.com/envoy.extensions';

function tls(fields: Json): Cluster {
  const typedConfig = { '@type': `${extensions}.transport_sockets.tls.v3.UpstreamTlsContext`, ...fields };
  return cluster({ transport_socket: { name: 'tls', typed_config: typedConfig } });
}

function endpoint(fields: Json, port = 1): Cluster {
  const address = { socket_address: { address: '127.0.0.1', port_value: port } };
  return cluster({ load_assignment: { cluster_name: 'a', endpoints: [{ lb_endpoints: [{ endpoint: { address }, ...fields }] }] } });
}

/** A listener with one virtual host of one route, inside an HTTP connection manager and so inside an Any. */
function host(hostFields: Json, routeFields: Json = {}): Listener {
  const fields = { match: { prefix: '/' }, route: { cluster: 'a' }, ...routeFields };
  const route = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const manager = {
    '@type': `${extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'x',
    http_filters: [{ name: 'router', typed_config: { '@type': `${extensions}.filters.http.router.v3.Router` } }],
    route_config: { name: 'r', virtual_hosts: [{ name: 'h', domains: ['*'], routes: [route], ...hostFields }] },
  };
  return message(listenerType, {
    name: 'l',
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }],
  }) as Listener;
}

const route = (fields: Json): Listener => host({}, { route: { cluster: 'a', ...fields } });
const header = (key: string, value: string): Listener => host({ request_headers_to_add: [{ header: { key, value } }] });

const short = 'value length must be at least 1 characters';
const split = String.raw`value does not match regex pattern "^[^\x00\n\r]*$"`;
const range = 'value must be inside range [200, 600)';
const undefinedEnum = 'value must be one of the defined enum values';

/** `accepted`, or the words in which both refuse it. */
const cases: readonly (readonly [name: string, resource: Cluster | Listener, outcome: string])[] = [
  ['a plain cluster', cluster({}), 'accepted'],
  ['a cluster without a name', cluster({ name: '' }), short],
  ['a timeout of zero', cluster({ connect_timeout: '0s' }), 'value must be greater than 0s'],
  [
    'a health check without thresholds',
    cluster({ health_checks: [{ timeout: '1s', interval: '1s', tcp_health_check: {} }] }),
    'value is required',
  ],
  ['an undefined discovery type', cluster({ type: 9 }), undefinedEnum],
  ['a removed policy of load balancing', cluster({ lb_policy: 4 }), undefinedEnum],
  ['more than all ejected', cluster({ outlier_detection: { max_ejection_percent: 101 } }), 'value must be less than or equal to 100'],
  ['a wrapped number of zero', endpoint({ load_balancing_weight: 0 }), 'value must be greater than or equal to 1'],
  ['a port that is too high', endpoint({}, 70_000), 'value must be less than or equal to 65535'],
  ['a socket without a name', cluster({ transport_socket: { name: '' } }), short],
  ['an SNI of 256 bytes', tls({ sni: 'x'.repeat(256) }), 'value length must be at most 255 bytes'],
  ['an SNI of 255 bytes', tls({ sni: 'x'.repeat(255) }), 'accepted'],
  [
    'a secret without a name',
    tls({ common_tls_context: { tls_certificate_sds_secret_configs: [{ name: '', sds_config: { ads: {} } }] } }),
    short,
  ],
  ['a plain route', host({}), 'accepted'],
  ['no domains', host({ domains: [] }), 'value must contain at least 1 item(s)'],
  ['an empty domain', host({ domains: [''] }), 'accepted'],
  ['a domain of two lines', host({ domains: ['a\nb'] }), split],
  ['a control character where the pattern is not strict', host({ domains: ['a\u0001b'] }), 'accepted'],
  ['a header name with a space', header('a b', 'x'), 'accepted'],
  ['a header name of two lines', header('a\nb', 'x'), split],
  ['no header name', header('', 'x'), short],
  ['a header value of two lines', header('a', 'x\ny'), split],
  ['a header name of 16385 bytes', header('a'.repeat(16_385), 'x'), 'value length must be at most 16384 bytes'],
  ['no name among headers to remove', host({ request_headers_to_remove: [''] }), short],
  ['an undefined enum value', host({ require_tls: 7 }), undefinedEnum],
  ['a route without an action', host({}, { route: undefined }), 'is required'],
  ['a route without a match', host({}, { match: undefined }), 'value is required'],
  ['a separated prefix', host({}, { match: { path_separated_prefix: '/a' } }), 'accepted'],
  [
    'a separated prefix that ends in a slash',
    host({}, { match: { path_separated_prefix: '/a/' } }),
    'value does not match regex pattern "^[^?#]+[^?#/]$"',
  ],
  ['an empty regular expression', host({}, { match: { safe_regex: { regex: '' } } }), short],
  ['a status below the range', host({}, { route: undefined, direct_response: { status: 199 } }), range],
  ['a status at the end of the range', host({}, { route: undefined, direct_response: { status: 600 } }), range],
  ['an empty key of metadata', host({}, { metadata: { filter_metadata: { '': {} } } }), short],
  ['no clusters to weigh', host({}, { route: { weighted_clusters: { clusters: [] } } }), 'value must contain at least 1 item(s)'],
  ['a hash policy of nothing', route({ hash_policy: [{}] }), 'is required'],
  ['a back-off without an interval', route({ retry_policy: { retry_on: '5xx', retry_back_off: {} } }), 'value is required'],
  ['a rewritten host of two lines', route({ host_rewrite_literal: 'a\nb' }), split],
];

async function verdicts(resource: Cluster | Listener): Promise<{ readonly ours: readonly string[]; readonly theirs: Validation }> {
  const isCluster = resource.$typeName === ClusterSchema.typeName;
  const ours = isCluster
    ? validator.validate(ClusterSchema, resource as Cluster)
    : validator.validate(ListenerSchema, resource as Listener);
  const theirs = await validateConfig(envoy, {
    clusters: isCluster ? [resource as Cluster] : [cluster({})],
    listeners: isCluster ? [] : [resource as Listener],
  });
  return { ours: ours.map((violation) => violation.message), theirs };
}

it.each(cases.filter(([, , outcome]) => outcome === 'accepted'))('both accept %s', async (_, resource) => {
  expect(await verdicts(resource)).toEqual({ ours: [], theirs: { accepted: true, output: expect.any(String) as string } });
});

it.each(cases.filter(([, , outcome]) => outcome !== 'accepted'))('both refuse %s', async (_, resource, outcome) => {
  const { ours, theirs } = await verdicts(resource);
  expect(ours[0]).toContain(outcome);
  expect(theirs).toEqual({ accepted: false, output: expect.stringContaining(outcome) as string });
});
