import { expect, test } from 'vitest';
import { clusterType, routeType } from '../wire/types.ts';
import type { Part } from '../xds/source.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { fakeStream } from './testing/stream.ts';

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
  expect(await scraped(m, 'pilot_xds{')).toEqual(['pilot_xds{version="0.1.0"} 1']);
  expect(await scraped(m, 'pilot_info')).toEqual(['pilot_info{version="0.1.0"} 1']);
  expect(await scraped(m, 'istiod_uptime_seconds')).toEqual(['istiod_uptime_seconds 2.5']);
  expect(await scraped(m, 'pilot_services')).toEqual(['pilot_services 12']);
  expect(await scraped(m, 'pilot_virt_services')).toEqual(['pilot_virt_services 3']);
});

const part: Part = { id: 'public', table: () => undefined };
const changed = new Set([part]);

test('convergence runs from the first change of a group to the first response on each stream that it concerns', async () => {
  const m = metrics();
  const [page, details] = [fakeStream('page', {}, [part]), fakeStream('details', {}, [part])];
  const gateway = fakeStream('gateway');
  for (const s of [page, details, gateway]) m.streams.connected(s);
  m.streams.sent(page, clusterType, 100, 1, 0);
  expect(await scraped(m, 'pilot_proxy_convergence_time_count')).toEqual(['pilot_proxy_convergence_time_count 0']);
  m.configEvent('VirtualService', 'update');
  nowMs += 30;
  m.configEvent('DestinationRule', 'add');
  nowMs += 10;
  m.settled(changed);
  nowMs += 20;
  m.streams.sent(page, routeType, 100, 1, 0);
  m.flushed();
  m.streams.sent(page, clusterType, 100, 1, 0);
  m.streams.sent(gateway, clusterType, 100, 1, 0);
  nowMs += 40;
  m.streams.sent(details, routeType, 100, 1, 0);
  expect(await scraped(m, 'pilot_proxy_convergence_time_count')).toEqual(['pilot_proxy_convergence_time_count 2']);
  expect(await scraped(m, 'pilot_proxy_convergence_time_sum')).toEqual(['pilot_proxy_convergence_time_sum 0.16']);
  expect(await scraped(m, 'pilot_push_triggers')).toEqual(['pilot_push_triggers{type="config"} 1']);
  expect(await scraped(m, 'pilot_xds_pushes')).toEqual(['pilot_xds_pushes{type="cds"} 3', 'pilot_xds_pushes{type="rds"} 2']);
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

test('a rejection is counted for good, and shown by proxy until the type is accepted or the proxy goes', async () => {
  const m = metrics();
  const page = fakeStream('page');
  m.streams.connected(page);
  m.streams.rejected(page, routeType, ['8080'], 'Only unique values for domains\nmore');
  const labels = 'node="sidecar~10.0.0.1~page.shop~shop.svc.cluster.local",err="Only unique values for domains"';
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([`pilot_xds_rds_reject{${labels}} 1`]);
  m.streams.acked(page, routeType, 'n2', 12);
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([]);
  m.streams.rejected(page, routeType, ['8080'], 'again');
  m.streams.disconnected(page, 'gone');
  expect(await scraped(m, 'pilot_xds_rds_reject')).toEqual([]);
  expect(await scraped(m, 'pilot_total_xds_rejects')).toEqual([`pilot_total_xds_rejects{type="${routeType}"} 2`]);
});

test('the certificate authority counts under its own names', async () => {
  const m = metrics();
  m.ca.requested();
  m.ca.issued();
  m.ca.expiry(2_000_000_000_000, 1_900_000_000_000);
  expect(await scraped(m, 'citadel_server_')).toEqual([
    'citadel_server_csr_count 1',
    'citadel_server_success_cert_issuance_count 1',
    'citadel_server_authentication_failure_count 0',
    'citadel_server_csr_parsing_err_count 0',
    'citadel_server_csr_sign_err_count 0',
    'citadel_server_root_cert_expiry_timestamp 2000000000',
    'citadel_server_cert_chain_expiry_timestamp 1900000000',
  ]);
});
