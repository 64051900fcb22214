/** Conditions, Events and `mizzen wait` on a real Kubernetes API, with two replicas of which one leads, and real Envoys. */
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { needsEnvoy } from '../envoy/harness/envoy.ts';
import { http } from '../envoy/harness/http.ts';
import { describeWithPods } from '../envoy/harness/suites.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { KubernetesMesh } from './mesh.ts';

needsEnvoy();

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const host = 'reviews.shop.svc.cluster.local';

const manifests = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec:
  clusterIP: 10.96.102.10
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;

const routes = (name: string, http: string, hosts = `[${host}]`): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: shop }
spec: { hosts: ${hosts}, http: [${http}] }
`;
const toReviews = `{ route: [{ destination: { host: ${host} } }] }`;

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

describeWithPods('status on Kubernetes', () => {
  let mesh: KubernetesMesh;

  beforeAll(async () => {
    await clusterBinaries();
  }, 3_600_000);

  beforeAll(async () => {
    mesh = await KubernetesMesh.start({
      name: 'sta',
      replicas: 2,
      manifests,
      workloads: {
        client: { client: true },
        reviews: { serviceAccount: 'reviews', labels: { app: 'reviews' }, apps: [{ kind: 'http', port: 8080, version: '1' }] },
      },
    });
  });

  beforeEach(() => mesh?.explainFailure());

  afterAll(() => mesh?.[Symbol.asyncDispose]());

  const kubectl = (...args: string[]): Promise<string> => mesh.cluster.kubectl(args);

  async function conditions(kind: string, name: string): Promise<readonly Condition[]> {
    const object = JSON.parse(await kubectl('get', kind, name, '-n', 'shop', '-o', 'json')) as { status?: { conditions?: Condition[] } };
    return object.status?.conditions ?? [];
  }

  async function condition(kind: string, name: string, type: string, isMeant: (c: Condition) => boolean): Promise<Condition> {
    let last: readonly Condition[] = [];
    return eventually(
      `${kind} ${name} has the ${type} condition`,
      async () => {
        last = await conditions(kind, name);
        return last.find((c) => c.type === type && isMeant(c));
      },
      30_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; last seen ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** Generations of VirtualService `hot` as a watch tells of them: one line for each write. */
  function watchHot(): () => string[] {
    const args = [
      'get',
      'virtualservices',
      '-n',
      'shop',
      '--field-selector',
      'metadata.name=hot',
      '-w',
      '-o',
      'jsonpath={.metadata.generation}{"\\n"}',
    ];
    const child = spawn(mesh.cluster.kubectlPath, args, {
      env: { ...process.env, KUBECONFIG: mesh.cluster.kubeconfig },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    return () => {
      child.kill();
      return text.split('\n').filter((line) => line !== '');
    };
  }

  async function leader(): Promise<string> {
    return eventually('a leader', async () => {
      for (const { discovery } of mesh.replicas) {
        const { adminAddress: address, monitoring: port } = discovery.addresses;
        const answer = await http({ address, port, path: '/debug/replicas' }).catch(() => undefined);
        const known = answer === undefined ? '' : (JSON.parse(answer.body) as { leader: string }).leader;
        if (known !== '') return known;
      }
      return undefined;
    });
  }

  async function mizzenWait(target: string, ...flags: string[]): Promise<{ readonly code: number; readonly output: string }> {
    const { adminAddress, monitoring } = mesh.replica('replica-2').discovery.addresses;
    const args = [main, 'wait', '--for=converged', target, '-n', 'shop', '--address', `${adminAddress}:${monitoring}`, ...flags];
    const env = { ...process.env, KUBECONFIG: mesh.cluster.kubeconfig };
    return new Promise((resolve) => {
      execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
      });
    });
  }

  it('says that an object is translated and which proxies have it', async () => {
    await mesh.cluster.apply(routes('reviews', toReviews));
    const waited = mizzenWait('virtualservice/reviews');
    await kubectl('wait', '--for=condition=Programmed', 'virtualservice/reviews', '-n', 'shop', '--timeout=30s');
    expect(await waited).toMatchObject({ code: 0, output: expect.stringContaining('converged, 2 of 2 proxies have it') as string });
    expect(await conditions('virtualservice', 'reviews')).toMatchObject([
      { type: 'Reconciled', status: 'True', observedGeneration: 1 },
      { type: 'Programmed', status: 'True', reason: 'Programmed', message: '2 of 2 proxies', observedGeneration: 1 },
    ]);
  });

  it('keeps the conditions of others', async () => {
    const other = { type: 'Synced', status: 'True', reason: 'ByAnother', message: 'not ours', lastTransitionTime: '2026-01-01T00:00:00Z' };
    const object = { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'shared', namespace: 'shop' } };
    await mesh.cluster.apply(routes('shared', toReviews, '[other.example.com]'));
    await mesh.cluster.api.patch(object, { status: { conditions: [other] } }, 'status');
    await condition('virtualservice', 'shared', 'Programmed', ({ status }) => status === 'True');
    expect(await conditions('virtualservice', 'shared')).toContainEqual(other);
    await mesh.cluster.api.delete(object);
  });

  it('names the path of what it refuses, in the condition and in an Event, and takes both back', async () => {
    await mesh.cluster.apply(
      routes('broken', `{ match: [{ uri: { regex: "(?=x)" } }], route: [{ destination: { host: ${host} } }] }`, '[b.example.com]'),
    );
    const reconciled = await condition('virtualservice', 'broken', 'Reconciled', ({ status }) => status === 'False');
    expect(reconciled).toMatchObject({ reason: 'Invalid', message: expect.stringContaining('spec.http[0].match[0].uri.regex') as string });
    const described = await eventually('kubectl describe shows it', async () => {
      const text = await kubectl('describe', 'virtualservice', 'broken', '-n', 'shop');
      return /Warning\s+Invalid/.test(text) && text;
    });
    expect(described).toContain('look-around');
    expect(await mizzenWait('vs/broken')).toMatchObject({ code: 1, output: expect.stringContaining('look-around') as string });
    await mesh.cluster.apply(routes('broken', toReviews, '[b.example.com]'));
    await condition('virtualservice', 'broken', 'Reconciled', ({ status }) => status === 'True');
    await eventually('an Event says so', async () =>
      /Normal\s+Reconciled/.test(await kubectl('describe', 'virtualservice', 'broken', '-n', 'shop')),
    );
  });

  it('shows what a proxy refuses on the object that caused it', async () => {
    await mesh.cluster.apply(
      routes('reviews', `{ match: [{ uri: { regex: "a{1001}" } }], route: [{ destination: { host: ${host} } }] }, ${toReviews}`),
    );
    const programmed = await condition('virtualservice', 'reviews', 'Programmed', ({ reason }) => reason === 'Refused');
    expect(programmed.message).toContain('most likely because of this object');
    expect(programmed.message).toContain('repetition');
    expect(await conditions('virtualservice', 'broken')).not.toContainEqual(expect.objectContaining({ reason: 'Refused' }));
    const { code, output } = await mizzenWait('vs/reviews');
    expect(code).toBe(1);
    expect(output).toMatch(/client\.shop\s+rejected/);
    await eventually('an Event says so', async () =>
      /Warning\s+Refused/.test(await kubectl('describe', 'virtualservice', 'reviews', '-n', 'shop')),
    );
    await mesh.cluster.apply(routes('reviews', toReviews));
    await condition('virtualservice', 'reviews', 'Programmed', ({ status }) => status === 'True');
  });

  it('says of a kind that it does not read that it has no effect', async () => {
    await mesh.cluster.apply(`
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: logs, namespace: shop }
spec: { accessLogging: [{ providers: [{ name: envoy }] }] }
`);
    const reconciled = await condition('telemetry', 'logs', 'Reconciled', ({ status }) => status === 'False');
    expect(reconciled.reason).toBe('NotTranslated');
    expect(await conditions('telemetry', 'logs')).toHaveLength(1);
  });

  it('writes little while an object changes 200 times, by one replica alone, and ends with the truth', async () => {
    const watched = watchHot();
    for (let change = 1; change <= 200; change++) {
      await mesh.cluster.api.apply({
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'hot', namespace: 'shop' },
        spec: { hosts: ['hot.example.com'], http: [{ route: [{ destination: { host } }], timeout: `${change}s` }] },
      });
    }
    const last = await condition('virtualservice', 'hot', 'Programmed', (c) => c.status === 'True' && c.observedGeneration === 200);
    expect(last.message).toBe('2 of 2 proxies');
    const generations = watched();
    const writes = generations.length - new Set(generations).size;
    console.log(`${writes} writes of status for 200 changes`);
    expect(new Set(generations).size).toBeGreaterThan(100);
    expect(writes).toBeLessThan(20);
    const object = JSON.parse(await kubectl('get', 'virtualservice', 'hot', '-n', 'shop', '-o', 'json', '--show-managed-fields')) as {
      metadata: { managedFields: { manager: string; subresource?: string }[] };
    };
    expect(object.metadata.managedFields.filter(({ subresource }) => subresource === 'status').map(({ manager }) => manager)).toEqual([
      'mizzen',
    ]);
  });

  it('waits until a deletion has reached the proxies', async () => {
    const { envoy } = mesh.workload('client');
    const has = async (): Promise<boolean> => JSON.stringify(await envoy.configDump('RoutesConfigDump')).includes('hot.example.com');
    expect(await has()).toBe(true);
    await mesh.cluster.api.delete({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'hot', namespace: 'shop' },
    });
    expect(await mizzenWait('vs/hot')).toMatchObject({
      code: 0,
      output: expect.stringContaining('it is gone from 2 of 2 proxies') as string,
    });
    expect(await has()).toBe(false);
  });

  it('times out with the proxies that lag', async () => {
    const envoy = mesh.workload('reviews').envoy;
    envoy.freeze();
    try {
      await mesh.cluster.apply(routes('reviews', `{ route: [{ destination: { host: ${host} } }], timeout: 7s }`));
      const { code, output } = await mizzenWait('vs/reviews', '--timeout', '3s');
      expect(output).toMatch(/reviews\.shop\s+pending/);
      expect(code).toBe(4);
      const pending = await condition('virtualservice', 'reviews', 'Programmed', ({ reason }) => reason === 'Pending');
      expect(pending.message).toContain('1 of 2 proxies; waiting for reviews.shop');
    } finally {
      envoy.thaw();
    }
    expect((await mizzenWait('vs/reviews')).code).toBe(0);
    await condition('virtualservice', 'reviews', 'Programmed', ({ status }) => status === 'True');
  });

  it('needs no more rights for it than the documentation gives', async () => {
    const documentation = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'kubernetes.md'), 'utf8');
    const role = /```yaml\n(apiVersion: rbac[^`]+kind: ClusterRole\n[^`]+)```/.exec(documentation)?.[1] ?? '';
    await mesh.cluster.apply(`${role}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: mizzen-documented }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: mizzen }
subjects: [{ kind: ServiceAccount, name: documented, namespace: istio-system }]
`);
    const may = async (...asked: string[]): Promise<string> => {
      const answer = await kubectl('auth', 'can-i', ...asked, '-n', 'shop', '--as=system:serviceaccount:istio-system:documented').catch(
        String,
      );
      return `${asked.join(' ')}: ${answer.trim().slice(0, 3)}`;
    };
    const status = ['--subresource=status'];
    expect(
      await Promise.all([
        may('get', 'virtualservices.networking.istio.io'),
        may('patch', 'virtualservices.networking.istio.io', ...status),
        may('patch', 'telemetries.telemetry.istio.io', ...status),
        may('create', 'events.events.k8s.io'),
        may('patch', 'events.events.k8s.io'),
        may('get', 'events.events.k8s.io'),
        may('get', 'services'),
      ]),
    ).toEqual([
      'get virtualservices.networking.istio.io: yes',
      'patch virtualservices.networking.istio.io --subresource=status: yes',
      'patch telemetries.telemetry.istio.io --subresource=status: yes',
      'create events.events.k8s.io: yes',
      'patch events.events.k8s.io: yes',
      'get events.events.k8s.io: yes',
      'get services: yes',
    ]);
    expect(await may('patch', 'virtualservices.networking.istio.io')).toContain('Err');
  });

  it('goes on by another replica when the leader is killed, and repeats no Event', { timeout: 120_000 }, async () => {
    await mesh.cluster.apply(
      routes('late', `{ match: [{ uri: { regex: "(?=x)" } }], route: [{ destination: { host: ${host} } }] }`, '[late.example.com]'),
    );
    const warnings = async (): Promise<string> => {
      const selector = 'involvedObject.name=late,type=Warning';
      return kubectl(
        'get',
        'events',
        '-n',
        'shop',
        '--field-selector',
        selector,
        '-o',
        'jsonpath={range .items[*]}{.reason} {.series.count};{end}',
      );
    };
    await eventually('there is an Event', async () => (await warnings()) !== '');
    const before = await warnings();
    const killed = await leader();
    await mesh.replica(killed).discovery.kill();
    await mesh.cluster.apply(routes('reviews', `{ route: [{ destination: { host: ${host} } }], timeout: 9s }`));
    await eventually(
      'the other replica writes',
      async () => {
        const found = (await conditions('virtualservice', 'reviews')).find(({ type }) => type === 'Programmed');
        const { metadata } = JSON.parse(await kubectl('get', 'virtualservice', 'reviews', '-n', 'shop', '-o', 'json')) as {
          metadata: { generation: number };
        };
        return found?.observedGeneration === metadata.generation && found.status === 'True' && found.message === '2 of 2 proxies';
      },
      60_000,
    );
    expect(await warnings()).toBe(before);
  });
});
