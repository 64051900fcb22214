import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';

interface Described {
  readonly type: string;
  readonly labels: string;
  readonly of: string;
}

const doc = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
const [present = '', absent = ''] = doc.split('\n## Metrics of istiod that are not here\n');

/** Sections of metrics that come with a feature, from its own folder: they are checked on a running daemon alone. */
const elsewhere = ['Replicas', 'Remote clusters', 'Webhooks'];

function described(text = present): Map<string, Described> {
  const rows = new Map<string, Described>();
  for (const line of text.split('\n')) {
    const [, name = '', type = '', labels = '', of = ''] = line.split('|').map((cell) => cell.trim());
    // A table of something else has fewer columns.
    if (name.startsWith('`') && of !== '') rows.set(name.replaceAll('`', ''), { type, labels: labels.replaceAll('`', ''), of });
  }
  return rows;
}

/** What every replica has. */
function registered(): Map<string, Described> {
  const metrics = createMetrics({ version: '', nowMs: () => 0, serviceCount: () => 0, virtualServiceCount: () => 0 });
  metrics.watch({
    waitingStreams: () => 0,
    bytesInFlight: () => 0,
    sharing: () => ({ parts: 0, follows: 0 }),
    identities: () => 0,
    proxiesWithoutService: () => 0,
  });
  metrics.watchProcess();
  const all = metrics.registry.getMetricsAsArray() as unknown as { name: string; type: string; labelNames: readonly string[] }[];
  return new Map(all.map(({ name, type, labelNames }) => [name, { type, labels: labelNames.join(', '), of: ownerOf(name) }]));
}

function ownerOf(name: string): string {
  return /^(nodejs|process)_/.test(name) ? 'Node' : name.startsWith('mizzen_') ? 'mizzen' : 'istiod';
}

test('docs/metrics.md has every metric with its type and labels', () => {
  const rows = described();
  const wrong = [...registered()].filter(([name, metric]) => JSON.stringify(rows.get(name)) !== JSON.stringify(metric));
  expect(wrong).toEqual([]);
});

test('docs/metrics.md has no metric that does not exist', () => {
  const known = registered();
  const sections = present.split('\n## ').filter((section) => !elsewhere.some((title) => section.startsWith(`${title}\n`)));
  expect([...described(sections.join('\n')).keys()].filter((name) => !known.has(name))).toEqual([]);
});

/** Every metric that istiod 1.32 registers. */
const istiod =
  `auto_registration_deletes_total auto_registration_errors_total auto_registration_success_total auto_registration_unregister_total
auto_registration_updates_total citadel_server_authentication_failure_count citadel_server_cert_chain_expiry_seconds
citadel_server_cert_chain_expiry_timestamp citadel_server_csr_count citadel_server_csr_parsing_err_count citadel_server_csr_sign_err_count
citadel_server_id_extraction_err_count citadel_server_root_cert_expiry_seconds citadel_server_root_cert_expiry_timestamp
citadel_server_success_cert_issuance_count controller_sync_errors_total endpoint_no_pod galley_validation_config_load_error
galley_validation_config_update_error galley_validation_config_updates galley_validation_failed galley_validation_http_error
galley_validation_passed istiod_managed_clusters istiod_remote_cluster_sync_status istiod_uptime_seconds pilot_conflict_inbound_listener
pilot_conflict_outbound_listener_tcp_over_current_tcp pilot_debounce_time pilot_destrule_subsets pilot_dns_cluster_without_endpoints
pilot_duplicate_envoy_clusters pilot_eds_no_instances pilot_endpoint_not_ready pilot_envoy_filter_status pilot_inbound_updates pilot_info
pilot_jwks_resolver_network_fetch_fail_total pilot_jwks_resolver_network_fetch_success_total pilot_k8s_cfg_events
pilot_k8s_endpoints_pending_pod pilot_k8s_endpoints_with_no_pods pilot_k8s_proxies_with_no_service_targets pilot_k8s_reg_events pilot_no_ip
pilot_proxy_convergence_time pilot_proxy_queue_time pilot_push_triggers pilot_pushcontext_init_seconds pilot_sds_certificate_errors_total
pilot_services pilot_total_rejected_configs pilot_total_xds_internal_errors pilot_total_xds_rejects pilot_virt_services
pilot_vservice_dup_domain pilot_xds pilot_xds_cds_reject pilot_xds_config_size_bytes pilot_xds_eds_reject pilot_xds_expired_nonce
pilot_xds_lds_reject pilot_xds_push_time pilot_xds_pushes pilot_xds_rds_reject pilot_xds_recv_max pilot_xds_send_time pilot_xds_write_timeout
provider_lookup_cluster_failures remote_cluster_secret_events_total remote_cluster_sync_timeouts_total sidecar_injection_failure_total
sidecar_injection_requests_total sidecar_injection_skip_total sidecar_injection_success_total sidecar_injection_time_seconds
webhook_patch_attempts_total webhook_patch_failures_total webhook_patch_retries_total xds_cache_dependent_config_size xds_cache_evictions
xds_cache_reads xds_cache_size`.split(/\s+/);

test('every metric of istiod is either here or has a reason not to be', () => {
  const rows = described();
  const names = absent.split('\n').map((line) => line.split('|')[1] ?? '');
  const excused = new Set([...names.join().matchAll(/`([a-z0-9_]+)`/g)].map(([, name]) => name));
  expect(istiod.filter((name) => rows.has(name) === excused.has(name))).toEqual([]);
  const ours = [...rows].filter(([, { of }]) => of === 'istiod').map(([name]) => name);
  expect(ours.filter((name) => !istiod.includes(name))).toEqual([]);
});
