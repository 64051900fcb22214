import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { clusterType } from '../../src/wire/types.ts';
import { Discovery } from '../envoy/harness/discovery.ts';
import { Folder } from '../envoy/harness/folder.ts';
import { http } from '../envoy/harness/http.ts';
import { DeltaProxy } from '../harness/delta-proxy.ts';
import { Prometheus, promtool } from '../harness/prometheus.ts';
import { describeWithPrometheus } from './suites.ts';

const deploy = join(import.meta.dirname, '..', '..', 'deploy', 'prometheus');

function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  clusterIP: 10.0.0.${name.length}
  selector: { app: ${name} }
  ports: [{ name: http, port: 80 }]
`;
}

/** The example, with the address and an interval that suits a test. */
function scrapeConfig(port: number): string {
  const document = parseDocument(readFileSync(join(deploy, 'scrape.yaml'), 'utf8'));
  document.setIn(['global', 'scrape_interval'], '500ms');
  document.setIn(['global', 'evaluation_interval'], '500ms');
  document.setIn(['scrape_configs', 0, 'static_configs', 0, 'targets', 0], `127.0.0.1:${port}`);
  return document.toString();
}

const node = (name: string): ConstructorParameters<typeof DeltaProxy>[1] => ({
  id: `sidecar~10.1.0.1~${name}.shop~shop.svc.cluster.local`,
  metadata: { NAME: name, NAMESPACE: 'shop', LABELS: { app: name }, CLUSTER_ID: 'Kubernetes' },
});

describeWithPrometheus('a real Prometheus', () => {
  const folder = new Folder('scrape');
  let discovery: Discovery;
  let prometheus: Prometheus;
  const proxies: DeltaProxy[] = [];

  beforeAll(async () => {
    folder.write('mesh/reviews.yaml', service('reviews'));
    discovery = await Discovery.start({ config: folder.at('mesh'), state: folder.at('state'), log: folder.at('discovery.log') });
    prometheus = await Prometheus.start(scrapeConfig(discovery.addresses.monitoring), {
      'alerts.yaml': readFileSync(join(deploy, 'alerts.yaml'), 'utf8'),
    });
    const address = `127.0.0.1:${discovery.addresses.grpc}`;
    for (const name of ['page', 'reviews', 'ratings']) proxies.push(new DeltaProxy(address, node(name)));
  });

  afterAll(async () => {
    for (const proxy of proxies) proxy[Symbol.dispose]();
    await prometheus?.[Symbol.asyncDispose]();
    await discovery?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const proxy = (): DeltaProxy => {
    const [first] = proxies;
    if (first === undefined) throw new Error('no proxy');
    return first;
  };

  it('finds the control plane up, and the proxies that are connected', async () => {
    await prometheus.eventually('up{job="mizzen"}', (up) => up === 1);
    await prometheus.eventually('sum(pilot_xds)', (connected) => connected === 3);
    await prometheus.eventually('pilot_services', (services) => services === 1);
    await prometheus.eventually('pilot_no_ip', (sidecars) => sidecars === 2);
    await prometheus.eventually('mizzen_part_streams / mizzen_parts', (sharing) => sharing > 1);
    await prometheus.eventually('pilot_xds_recv_max', (bytes) => bytes > 50);
    await prometheus.eventually('citadel_server_root_cert_expiry_seconds', (seconds) => seconds > 86_400);
    await prometheus.eventually('citadel_server_cert_chain_expiry_timestamp - time()', (seconds) => seconds > 86_400);
    await prometheus.eventually('nodejs_heap_size_used_bytes / on (instance) mizzen_heap_limit_bytes', (share) => share > 0 && share < 1);
  });

  it('sees a change pushed, and how long it took to converge', async () => {
    const before = await prometheus.eventually('pilot_xds_pushes{type="cds"}', (pushes) => pushes >= 3);
    folder.write('mesh/details.yaml', service('details'));
    await prometheus.eventually('pilot_xds_pushes{type="cds"}', (pushes) => pushes === before + 3);
    await prometheus.eventually('rate(pilot_xds_pushes{type="cds"}[1m])', (rate) => rate > 0);
    await prometheus.eventually('pilot_k8s_reg_events{type="Services",event="add"}', (events) => events === 2);
    await prometheus.eventually('pilot_proxy_convergence_time_count', (proxiesServed) => proxiesServed === 3);
    await prometheus.eventually('mizzen_convergence_seconds_count{kind="Service"}', (accepted) => accepted >= 3);
    const p99 = await prometheus.eventually(
      'histogram_quantile(0.99, sum by (le) (mizzen_convergence_seconds_bucket{kind="Service"}))',
      (seconds) => seconds > 0,
    );
    expect(p99).toBeLessThanOrEqual(3);
    await prometheus.eventually('pilot_eds_no_instances', (ports) => ports === 2);
    await prometheus.eventually('pilot_xds_push_time_count{type="cds"}', (responses) => responses === before + 3);
    await prometheus.eventually('pilot_xds_send_time_count', (responses) => responses >= before + 3);
    await prometheus.eventually('pilot_proxy_queue_time_count', (proxiesServed) => proxiesServed === 3);
    await prometheus.eventually('pilot_pushcontext_init_seconds_count', (flushes) => flushes >= 2);
    await prometheus.eventually('sum(increase(mizzen_xds_resources_sent_total[1m]))', (resources) => resources > 0);
  });

  it('sees a refusal with the proxy that has refused, until it accepts again or goes', async () => {
    proxy().refuse(clusterType, 13, 'Error adding/updating cluster(s): refused by the test');
    folder.write('mesh/ratings.yaml', service('ratings'));
    await prometheus.eventually('pilot_total_xds_rejects{type="cds"}', (rejects) => rejects >= 1);
    const [shown] = await prometheus.query('pilot_xds_cds_reject');
    expect(shown).toMatchObject({ labels: { node: 'page.shop', err: 'Internal' }, value: 1 });
    await prometheus.eventually('mizzen_config_problems{kind="Service",reason="Refused"}', (problems) => problems >= 1);
    proxy().accept(clusterType);
    folder.write('mesh/ratings.yaml', service('ratings').replace('port: 80', 'port: 81'));
    await prometheus.eventually('count(pilot_xds_cds_reject) or vector(0)', (series) => series === 0);
  });

  it('evaluates the alerts, and has nothing to complain of', async () => {
    const [target] = await prometheus.targets();
    expect(target).toMatchObject({ health: 'up', lastError: '' });
    expect((await prometheus.query('ALERTS{alertstate="firing",severity="page"}')).map(({ labels }) => labels['alertname'])).toEqual([]);
    expect(prometheus.log()).toBe('');
  });

  it('gets what docs/metrics.md describes, name by name and type by type', async () => {
    const described = new Map<string, string>();
    for (const line of readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'metrics.md'), 'utf8').split('\n')) {
      const [, name, type] = /^\| `([a-z0-9_]+)`\s*\| (counter|gauge|histogram)\s*\|/.exec(line) ?? [];
      if (name !== undefined && type !== undefined) described.set(name, type);
    }
    const scraped = new Map([...(await prometheus.metadata())].map(([name, { type }]) => [name, type]));
    for (const own of [...scraped.keys()].filter((name) => /^(go|prometheus)_/.test(name))) scraped.delete(own);
    expect(Object.fromEntries([...scraped].filter(([name, type]) => described.get(name) !== type))).toEqual({});
  });

  it('promtool complains of names that are not ours to choose, and of nothing else', async () => {
    const { body } = await http({ port: discovery.addresses.monitoring, path: '/metrics' });
    const { output } = await promtool(['check', 'metrics'], body);
    const complaints = output.split('\n').filter((line) => line !== '');
    expect(complaints.length).toBeGreaterThan(0);
    // istiod's counters without _total, and three gauges of prom-client with it.
    expect(complaints.filter((line) => !/^(pilot|citadel_server|endpoint|nodejs_active)_/.test(line))).toEqual([]);
  });
});
