import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { promtool } from '../harness/prometheus.ts';
import { Folder } from '../envoy/harness/folder.ts';
import { describeWithPrometheus } from './suites.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8');
const alertsFile = join(root, 'deploy', 'prometheus', 'alerts.yaml');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface AlertTests {
  readonly tests: readonly {
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
  }[];
}

const alerts = (parse(read('deploy', 'prometheus', 'alerts.yaml')) as { groups: { rules: Alert[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);
const names = alerts.map(({ alert }) => alert).sort();

describeWithPrometheus('alerts', () => {
  it('are rules that Prometheus takes', async () => {
    expect(await promtool(['check', 'rules', alertsFile])).toMatchObject({ code: 0 });
  });

  it('fire when they should and not before', async () => {
    const { code, output } = await promtool(['test', 'rules', join(root, 'deploy', 'prometheus', 'alerts.test.yaml')]);
    expect(code, output).toBe(0);
    const { tests } = parse(read('deploy', 'prometheus', 'alerts.test.yaml')) as AlertTests;
    const cases = tests.flatMap((test) => test.alert_rule_test);
    const tested = (fires: boolean): string[] =>
      [...new Set(cases.filter((one) => one.exp_alerts.length > 0 === fires).map((one) => one.alertname))].sort();
    expect(tested(true)).toEqual(names);
    expect(tested(false)).toEqual(names);
  });

  it('have a summary, a description and a section that says what to do', () => {
    const sections = [...read('docs', 'alerts.md').matchAll(/^## (\w+)$/gm)].map(([, title]) => title);
    expect(sections.toSorted()).toEqual(names);
    expect(new Set(alerts.map(({ labels }) => labels['severity']))).toEqual(new Set(['page', 'warning']));
    for (const { alert, annotations } of alerts) {
      expect(Object.keys(annotations).sort()).toEqual(['description', 'runbook', 'summary']);
      expect(annotations['runbook']).toBe(`docs/alerts.md#${alert.toLowerCase()}`);
    }
  });

  it('ask for metrics that docs/metrics.md describes', () => {
    const described = new Set([...read('docs', 'metrics.md').matchAll(/^\| `([a-z0-9_]+)`/gm)].map(([, name]) => name));
    const asked = alerts.flatMap(({ expr }) => [...expr.matchAll(/\b(\w+)\{job="mizzen"/g)].map(([, name = '']) => name));
    const own = asked
      .filter((name) => name !== 'up')
      .map((name) => name.replace(/_(bucket|count)$/, (suffix) => (described.has(name) ? suffix : '')));
    expect(own.length).toBeGreaterThan(20);
    expect(own.filter((name) => !described.has(name))).toEqual([]);
  });
});

describeWithPrometheus('examples of how Prometheus finds the control plane', () => {
  it.each(['scrape.yaml', 'scrape-kubernetes.yaml'])('%s is a configuration that Prometheus takes', async (name) => {
    using folder = new Folder('prometheus-config');
    folder.write('alerts.yaml', read('deploy', 'prometheus', 'alerts.yaml'));
    const config = parse(read('deploy', 'prometheus', name)) as { scrape_configs: Record<string, unknown>[] };
    for (const job of config.scrape_configs) {
      expect(job['job_name']).toBe('mizzen');
      // Debian builds Prometheus without Kubernetes; what is made of a found pod is checked all the same.
      delete job['kubernetes_sd_configs'];
    }
    const { code, output } = await promtool(['check', 'config', folder.write('prometheus.yml', stringify(config))]);
    expect(code, output).toBe(0);
    expect(output).toContain(`${names.length} rules found`);
  });
});
