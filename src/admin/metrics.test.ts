import { expect, test } from 'vitest';
import { clusterType, routeType } from '../wire/types.ts';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Part } from '../xds/source.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { fakeStream, synced } from './testing/stream.ts';

let nowMs = 1_000_000;
function metrics(): Metrics {
  nowMs = 1_000_000;
  return createMetrics({ version: '0.1.0', nowMs: () => nowMs, serviceCount: () => 12, virtualServiceCount: () => 3 });
}

/** Samples of one metric as they are scraped, without comments. */
async function scraped(m: Metrics, name: string): Promise<string[]> {
  return (await m.registry.metrics()).split('\n').filter((line) => line.startsWith(name));
}

test('connected proxies, services and uptime are read at the scrape', async () => {
  const m = metrics();
  const page = fakeStream('page');
  m.streams.connected(page);
  m.streams.connected(fakeStream('details'));
  m.streams.disconnected(page, 'gone');
  nowMs += 2500;
  expect(await scraped(m, 'pilot_xds{')).toEqual(['pilot_xds{version="envoy-1.40.0"} 1']);
  expect(await scraped(m, 'pilot_info')).toEqual(['pilot_info{version="0.1.0"} 1']);
  expect(await scraped(m, 'istiod_uptime_seconds')).toEqual(['istiod_uptime_seconds 2.5']);
  expect(await scraped(m, 'pilot_services')).toEqual(['pilot_services 12']);
  expect(await scraped(m, 'pilot_virt_services')).toEqual(['pilot_virt_services 3']);
});

const part: Part = { id: 'public', table: () => undefined };
const changed = new Map([[part, new Set([clusterType, routeType])]]);

test('a group of changes is measured from its first one to the first response on each stream that it concerns', async () => {
  const m = metrics();
  const [page, details] = [fakeStream('page', {}, [part]), fakeStream('details', {}, [part])];
  const gateway = fakeStream('gateway');
  for (const s of [page, details, gateway]) m.streams.connected(s);
  m.streams.sent(page, clusterType, 100, 1, 0);
  expect(await scraped(m, 'pilot_proxy_convergence_time_count')).toEqual(['pilot_proxy_convergence_time_count 0']);
  m.configEvent('VirtualService', 'update');
  nowMs += 30;
  m.configEvent('DestinationRule', 'add');
  m.translating();
  nowMs += 10;
  m.settled(changed);
  nowMs += 20;
  m.streams.sent(page, routeType, 100, 1, 0);
  m.flushed();
  m.streams.sent(page, clusterType, 100, 1, 2);
  m.streams.sent(gateway, clusterType, 100, 1, 0);
  nowMs += 40;
  m.streams.sent(details, routeType, 100, 3, 0);
  expect(await scraped(m, 'pilot_proxy_convergence_time_count')).toEqual(['pilot_proxy_convergence_time_count 2']);
  expect(await scraped(m, 'pilot_proxy_convergence_time_sum')).toEqual(['pilot_proxy_convergence_time_sum 0.16']);
  expect(await scraped(m, 'pilot_proxy_queue_time_sum')).toEqual(['pilot_proxy_queue_time_sum 0.08']);
  expect(await scraped(m, 'pilot_push_triggers')).toEqual(['pilot_push_triggers{type="config"} 2']);
  expect(await scraped(m, 'pilot_pushcontext_init_seconds_sum')).toEqual(['pilot_pushcontext_init_seconds_sum 0.01']);
  expect(await scraped(m, 'pilot_debounce_time_sum')).toEqual(['pilot_debounce_time_sum 0.04']);
  expect(await scraped(m, 'pilot_xds_pushes')).toEqual(['pilot_xds_pushes{type="cds"} 3', 'pilot_xds_pushes{type="rds"} 2']);
  expect(await scraped(m, 'mizzen_xds_resources')).toEqual([
    'mizzen_xds_resources_sent_total{type="cds"} 3',
    'mizzen_xds_resources_sent_total{type="rds"} 4',
    'mizzen_xds_resources_removed_total{type="cds"} 2',
  ]);
});

test('acceptance is measured by kind of the objects that changed, for the responses that carry the change', async () => {
  const m = metrics();
  const page = fakeStream('page', { [routeType]: { ...synced, sentNonce: 'r1' }, [clusterType]: { ...synced, sentNonce: 'c1' } }, [part]);
  m.streams.connected(page);
  m.configEvent('VirtualService', 'update');
  m.configEvent('Service', 'add');
  m.settled(new Map([[part, new Set([routeType])]]));
  m.flushed();
  m.streams.sent(page, routeType, 100, 1, 0);
  m.streams.sent(page, clusterType, 100, 1, 0);
  nowMs += 50;
  m.streams.acked(page, clusterType, 'c1', 50);
  m.streams.acked(page, routeType, 'of an earlier stream', 50);
  expect(await scraped(m, 'mizzen_convergence_seconds_count')).toEqual([]);
  m.streams.acked(page, routeType, 'r1', 50);
  m.streams.acked(page, routeType, 'r1', 50);
  expect(await scraped(m, 'mizzen_convergence_seconds_sum')).toEqual([
    'mizzen_convergence_seconds_sum{kind="VirtualService"} 0.05',
    'mizzen_convergence_seconds_sum{kind="Service"} 0.05',
  ]);
  expect(await scraped(m, 'mizzen_convergence_seconds_count')).toEqual([
    'mizzen_convergence_seconds_count{kind="VirtualService"} 1',
    'mizzen_convergence_seconds_count{kind="Service"} 1',
  ]);
});

test('what was merged while a stream could not be written is measured from its first change; what was refused is not measured', async () => {
  const m = metrics();
  const page = fakeStream('page', { [routeType]: { ...synced, sentNonce: 'r1' } }, [part]);
  m.streams.connected(page);
  for (const kind of ['Gateway', 'Sidecar']) {
    m.configEvent(kind, 'update');
    m.settled(changed);
    m.flushed();
    nowMs += 1000;
  }
  m.streams.sent(page, routeType, 100, 1, 0);
  expect(await scraped(m, 'pilot_proxy_convergence_time_sum')).toEqual(['pilot_proxy_convergence_time_sum 2']);
  m.streams.rejected(page, routeType, ['80'], 'no', 13);
  m.streams.acked(page, routeType, 'r1', 50);
  expect(await scraped(m, 'mizzen_convergence_seconds_count')).toEqual([]);
});

test('a change without effect is not added to the next one', async () => {
  const m = metrics();
  const page = fakeStream('page', {}, [part]);
  m.streams.connected(page);
  m.configEvent('Namespace', 'add');
  m.flushed();
  nowMs += 60_000;
  m.configEvent('Service', 'add');
  nowMs += 5;
  m.settled(changed);
  m.streams.sent(page, clusterType, 100, 1, 0);
  expect(await scraped(m, 'pilot_proxy_convergence_time_sum')).toEqual(['pilot_proxy_convergence_time_sum 0.005']);
});

test('a rejection is counted for good, and shown by proxy until the type is accepted or the last stream of the proxy goes', async () => {
  const m = metrics();
  const [page, again] = [fakeStream('page'), fakeStream('page')];
  m.streams.connected(page);
  m.streams.rejected(page, routeType, ['8080'], 'Only unique values for domains', 13);
  const node = 'node="page.shop"';
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([`pilot_xds_rds_reject{${node},err="Internal"} 1`]);
  m.streams.acked(page, routeType, 'n2', 12);
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([]);
  m.streams.rejected(page, routeType, ['8080'], 'again', 4711);
  m.streams.connected(again);
  m.streams.rejected(again, routeType, ['8080'], 'again');
  m.streams.disconnected(page, 'gone');
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([`pilot_xds_rds_reject{${node},err="Unknown"} 1`]);
  m.streams.disconnected(again, 'gone');
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([]);
  expect(await scraped(m, 'pilot_total_xds_rejects')).toEqual(['pilot_total_xds_rejects{type="rds"} 3']);
});

test('proxies are counted by the version that they say, of which there are not too many', async () => {
  const m = metrics();
  const streams = Array.from({ length: 60 }, (_, i) => {
    const stream = fakeStream(`page-${i}`);
    const metadata = { ISTIO_VERSION: i < 3 ? '1.32.0' : `made up ${i} ${'x'.repeat(1000)}` };
    return { ...stream, subscription: { ...stream.subscription, node: { ...stream.subscription.node, metadata } } };
  });
  for (const stream of streams) m.streams.connected(stream);
  for (const stream of streams.slice(1, 2)) m.streams.disconnected(stream, 'gone');
  const shown = await scraped(m, 'pilot_xds{');
  expect(shown[0]).toBe('pilot_xds{version="1.32.0"} 2');
  expect(shown.length).toBe(51);
  expect(Math.max(...shown.map((line) => line.length))).toBeLessThan(100);
  expect(shown.at(-1)).toBe('pilot_xds{version="other"} 8');
});

test('types that a stream makes up share one series', async () => {
  const m = metrics();
  const page = fakeStream('page');
  for (let i = 0; i < 100; i++) {
    m.streams.sent(page, `type.googleapis.com/made.Up${i}`, 10, 0, 0);
    m.meter.nonceExpired(`type.googleapis.com/made.Up${i}`);
  }
  m.streams.sent(page, 'Cluster', 10, 0, 0);
  expect(await scraped(m, 'pilot_xds_pushes')).toEqual(['pilot_xds_pushes{type="other"} 101']);
  expect(await scraped(m, 'pilot_xds_expired_nonce')).toEqual(['pilot_xds_expired_nonce{type="other"} 100']);
  expect(await scraped(m, 'pilot_xds_config_size_bytes_count')).toEqual(['pilot_xds_config_size_bytes_count{type="other"} 101']);
});

test('objects are counted as istiod counts them', async () => {
  const m = metrics();
  m.configEvent('Service', 'add');
  m.configEvent('Service', 'delete');
  m.configEvent('EndpointSlice', 'update');
  m.configEvent('VirtualService', 'update');
  m.settled(new Map());
  expect(await scraped(m, 'pilot_k8s_reg_events')).toEqual([
    'pilot_k8s_reg_events{type="Services",event="add"} 1',
    'pilot_k8s_reg_events{type="Services",event="delete"} 1',
    'pilot_k8s_reg_events{type="EndpointSlice",event="update"} 1',
  ]);
  expect(await scraped(m, 'pilot_k8s_cfg_events')).toEqual(['pilot_k8s_cfg_events{type="VirtualService",event="update"} 1']);
  expect(await scraped(m, 'pilot_inbound_updates')).toEqual([
    'pilot_inbound_updates{type="svc"} 1',
    'pilot_inbound_updates{type="svcdelete"} 1',
    'pilot_inbound_updates{type="eds"} 1',
    'pilot_inbound_updates{type="config"} 1',
  ]);
  expect(await scraped(m, 'pilot_push_triggers')).toEqual([
    'pilot_push_triggers{type="service"} 2',
    'pilot_push_triggers{type="endpoint"} 1',
    'pilot_push_triggers{type="config"} 1',
  ]);
});

test('streams measure themselves', async () => {
  const m = metrics();
  m.meter.built(clusterType, 3);
  m.meter.taken(clusterType, 20);
  m.meter.stalled(clusterType);
  m.meter.faulted();
  m.translationFailed();
  m.requestReceived(100);
  m.requestReceived(4000);
  m.requestReceived(50);
  expect(await scraped(m, 'pilot_xds_push_time_sum')).toEqual(['pilot_xds_push_time_sum{type="cds"} 0.003']);
  expect(await scraped(m, 'pilot_xds_send_time_sum')).toEqual(['pilot_xds_send_time_sum 0.02']);
  expect(await scraped(m, 'pilot_xds_write_timeout')).toEqual(['pilot_xds_write_timeout 1']);
  expect(await scraped(m, 'pilot_xds_pushes')).toEqual(['pilot_xds_pushes{type="cds_senderr"} 1']);
  expect(await scraped(m, 'pilot_total_xds_internal_errors')).toEqual(['pilot_total_xds_internal_errors 1']);
  expect(await scraped(m, 'mizzen_translation_faults_total')).toEqual(['mizzen_translation_faults_total 1']);
  expect(await scraped(m, 'pilot_xds_recv_max')).toEqual(['pilot_xds_recv_max 4000']);
});

test('collections that cannot be read are shown, and each failure is counted once', async () => {
  const m = metrics();
  m.stale('Kubernetes', ['pods', 'nodes']);
  m.stale('Kubernetes', ['pods', 'services']);
  expect(await scraped(m, 'mizzen_source_stale_collections')).toEqual(['mizzen_source_stale_collections{cluster="Kubernetes"} 2']);
  expect(await scraped(m, 'controller_sync_errors_total')).toEqual(['controller_sync_errors_total{cluster="Kubernetes"} 3']);
  m.stale('Kubernetes', []);
  expect(await scraped(m, 'mizzen_source_stale_collections')).toEqual(['mizzen_source_stale_collections{cluster="Kubernetes"} 0']);
  m.forgetCluster('Kubernetes');
  expect(await scraped(m, 'mizzen_source_stale_collections')).toEqual([]);
});

test('problems are counted by class, and not again before some time has passed', async () => {
  nowMs = 1_000_000;
  let asked = 0;
  let problems: Problem[] = [];
  const problem = (object: string, reason: Problem['reason'], severity: Problem['severity'] = 'warning'): Problem => ({
    object: object as ObjectKey,
    path: 'spec',
    reason,
    severity,
    message: '',
  });
  const m = createMetrics({
    version: '0.1.0',
    nowMs: () => nowMs,
    serviceCount: () => 0,
    virtualServiceCount: () => 0,
    problems: () => {
      asked++;
      nowMs += 200;
      return problems;
    },
  });
  problems = [
    problem('VirtualService/a/one', 'Conflict'),
    problem('VirtualService/a/two', 'Conflict'),
    problem('DestinationRule/a/one', 'Conflict'),
    problem('Sidecar/a/one', 'Conflict', 'error'),
    problem('Gateway/a/one', 'Conflict', 'error'),
    problem('Gateway/a/one', 'Conflict', 'error'),
    problem('Mystery/a/one', 'Invalid', 'error'),
  ];
  const config = async (): Promise<string[]> => [
    ...(await scraped(m, 'mizzen_config_problems')),
    ...(await scraped(m, 'pilot_vservice_dup_domain')),
    ...(await scraped(m, 'pilot_destrule_subsets')),
    ...(await scraped(m, 'pilot_conflict_inbound_listener')),
    ...(await scraped(m, 'pilot_total_rejected_configs')),
  ];
  expect(await config()).toEqual([
    'mizzen_config_problems{kind="VirtualService",reason="Conflict",severity="warning"} 2',
    'mizzen_config_problems{kind="DestinationRule",reason="Conflict",severity="warning"} 1',
    'mizzen_config_problems{kind="Sidecar",reason="Conflict",severity="error"} 1',
    'mizzen_config_problems{kind="Gateway",reason="Conflict",severity="error"} 2',
    'mizzen_config_problems{kind="other",reason="Invalid",severity="error"} 1',
    'pilot_vservice_dup_domain 2',
    'pilot_destrule_subsets 1',
    'pilot_conflict_inbound_listener 1',
    'pilot_total_rejected_configs{type="gateway",name="a/one"} 1',
  ]);
  problems = [];
  // Counting took 200 ms: 50 times that is longer than 5 s.
  nowMs += 9_000;
  await config();
  expect(asked).toBe(1);
  nowMs += 1_000;
  expect(await config()).toEqual(['pilot_vservice_dup_domain 0', 'pilot_destrule_subsets 0', 'pilot_conflict_inbound_listener 0']);
  expect(asked).toBe(2);
});

test('the certificate authority counts under its own names', async () => {
  const m = createMetrics({
    version: '',
    nowMs: () => 0,
    wallMs: () => 1_899_999_000_000,
    serviceCount: () => 0,
    virtualServiceCount: () => 0,
  });
  m.ca.requested();
  m.ca.issued();
  m.ca.signingFailed('TTL_ERROR');
  m.ca.identityRefused();
  m.ca.secretFailed();
  m.ca.expiry(2_000_000_000_000, 1_900_000_000_000);
  expect(await scraped(m, 'citadel_server_')).toEqual([
    'citadel_server_csr_count 1',
    'citadel_server_success_cert_issuance_count 1',
    'citadel_server_authentication_failure_count 0',
    'citadel_server_csr_parsing_err_count 0',
    'citadel_server_id_extraction_err_count 1',
    'citadel_server_csr_sign_err_count{error="TTL_ERROR"} 1',
    'citadel_server_root_cert_expiry_timestamp 2000000000',
    'citadel_server_root_cert_expiry_seconds 100001000',
    'citadel_server_cert_chain_expiry_timestamp 1900000000',
    'citadel_server_cert_chain_expiry_seconds 1000',
  ]);
  expect(await scraped(m, 'pilot_sds_certificate_errors_total')).toEqual(['pilot_sds_certificate_errors_total 1']);
});
