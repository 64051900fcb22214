import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { eventually } from '../envoy/harness/wait.ts';
import type { KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { installCrds } from './harness/crds.ts';
import {
  addNamespace,
  addNode,
  addPod,
  addServiceAccount,
  defaultNode,
  removeNamespace,
  removePod,
  type RunningPod,
  setReady,
} from './harness/objects.ts';
import { podToken, reviewToken } from './harness/tokens.ts';

interface EndpointSlice extends KubeObject {
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly conditions: { readonly ready: boolean };
    readonly nodeName: string;
    readonly zone: string;
    readonly targetRef: { readonly name: string };
  }[];
  readonly ports: readonly { readonly name: string; readonly port: number }[];
}

const service = (namespace: string, name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
});

describe('a test cluster', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    const binaries = await clusterBinaries();
    cluster = await TestCluster.start({ binaries });
    await addNode(cluster.api, defaultNode, { region: 'region', zone: 'region-a' });
  }, 3_600_000);

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  const explainFailure = (): void => onTestFailed(() => console.error(cluster.logs()));

  const addresses = (slices: readonly EndpointSlice[], ready: boolean): string[] =>
    slices.flatMap(({ endpoints = [] }) => endpoints.filter((e) => e.conditions.ready === ready).flatMap((e) => e.addresses)).sort();

  const slicesOf = (namespace: string, name: string): Promise<readonly EndpointSlice[]> =>
    cluster.api.list<EndpointSlice>('discovery.k8s.io/v1', 'EndpointSlice', namespace, `kubernetes.io/service-name=${name}`);

  async function podIn(namespace: string, name: string, ip: string): Promise<RunningPod> {
    await addServiceAccount(cluster.api, namespace, 'reviews');
    return addPod(cluster.api, { namespace, name, ip, serviceAccount: 'reviews', labels: { app: 'reviews' }, ports: { web: 9080 } });
  }

  it('serves a supported version, to kubectl too', async () => {
    const { serverVersion } = JSON.parse(await cluster.kubectl(['version', '-o', 'json'])) as { serverVersion: Record<string, string> };
    expect(Number(serverVersion['minor'])).toBeGreaterThanOrEqual(34);
    expect(serverVersion['gitVersion']).toMatch(/^v1\.\d+\.\d+$/);
  });

  it('refuses who has no credentials or no role', async () => {
    explainFailure();
    await addNamespace(cluster.api, 'access');
    const pod = await podIn('access', 'reviews-1', '10.244.0.10');
    const path = `/api/v1/namespaces/access/serviceaccounts/reviews/token`;
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    const { status } = await cluster.api.request<{ status: { token: string } }>({ method: 'POST', path, body });
    const config = cluster.kubeconfigFor('reviews', status);
    await expect(cluster.kubectl(['--kubeconfig', config, 'get', 'pods', '-n', 'access'])).rejects.toThrow(
      'User "system:serviceaccount:access:reviews" cannot list resource "pods"',
    );
    await expect(cluster.kubectl(['--kubeconfig', cluster.kubeconfigFor('nobody', { token: 'nonsense' }), 'get', 'pods'])).rejects.toThrow(
      /Unauthorized|must be logged in/,
    );
    await cluster.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: view, namespace: access }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view }
subjects: [{ kind: ServiceAccount, name: reviews, namespace: access }]
`);
    const seen = await eventually('the role is bound', () =>
      cluster.kubectl(['--kubeconfig', config, 'get', 'pods', '-n', 'access', '-o', 'name']),
    );
    expect(seen.trim()).toBe(`pod/${pod.metadata.name}`);
  });

  it("serves Istio's kinds once their definitions are installed, and checks their schemas", async () => {
    explainFailure();
    const installed = await installCrds(cluster.api);
    expect(installed).toContain('virtualservices.networking.istio.io');
    const rule = (weight: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec:
  hosts: [reviews]
  http: [{ route: [{ destination: { host: reviews }, weight: ${weight} }] }]
`;
    await cluster.apply(rule('100'));
    expect(await cluster.kubectl(['get', 'virtualservices.v1beta1.networking.istio.io', '-o', 'name'])).toBe(
      'virtualservice.networking.istio.io/reviews\n',
    );
    await expect(cluster.apply(rule('"all"'))).rejects.toThrow('spec.http[0].route[0].weight');
  });

  it('makes EndpointSlices of services and pods, and follows their readiness and deletion', async () => {
    explainFailure();
    await addNamespace(cluster.api, 'shop');
    await cluster.api.apply(service('shop', 'reviews'));
    const first = await podIn('shop', 'reviews-1', '10.244.0.1');
    const second = await podIn('shop', 'reviews-2', '10.244.0.2');
    const ready = (expected: readonly string[]) => async (): Promise<readonly EndpointSlice[] | undefined> => {
      const slices = await slicesOf('shop', 'reviews');
      return addresses(slices, true).join() === expected.join() ? slices : undefined;
    };
    const [slice] = await eventually('both pods are endpoints', ready(['10.244.0.1', '10.244.0.2']));
    expect(slice?.ports).toEqual([{ name: 'http', port: 9080, protocol: 'TCP' }]);
    const { zone, nodeName } = slice?.endpoints.find((e) => e.targetRef.name === 'reviews-1') ?? {};
    expect({ zone, nodeName }).toEqual({ zone: 'region-a', nodeName: defaultNode });

    await setReady(cluster.api, first, false);
    const slices = await eventually('one of them is ready', ready(['10.244.0.2']));
    expect(addresses(slices, false)).toEqual(['10.244.0.1']);
    await setReady(cluster.api, first, true);
    await removePod(cluster.api, second);
    await eventually('the other one is ready', ready(['10.244.0.1']));
  });

  it('signs tokens for pods and refuses them for another audience and once the pod is gone', async () => {
    explainFailure();
    await addNamespace(cluster.api, 'tokens');
    const pod = await podIn('tokens', 'reviews-1', '10.244.1.1');
    const token = await podToken(cluster.api, pod);
    const review = await reviewToken(cluster.api, token);
    expect(review).toMatchObject({
      authenticated: true,
      audiences: ['istio-ca'],
      user: {
        username: 'system:serviceaccount:tokens:reviews',
        extra: {
          'authentication.kubernetes.io/pod-name': ['reviews-1'],
          'authentication.kubernetes.io/pod-uid': [pod.metadata.uid],
          'authentication.kubernetes.io/node-name': [defaultNode],
        },
      },
    });
    expect((await reviewToken(cluster.api, token, 'vault')).authenticated).toBe(false);
    // The kubelet gets no token for an audience that no volume of the pod names.
    await expect(podToken(cluster.api, pod, { audience: 'vault' })).rejects.toThrow(/audience "vault" not found/);

    await removePod(cluster.api, pod);
    await eventually('the token is refused', async () => !(await reviewToken(cluster.api, token)).authenticated, 30_000);
  });

  it('keeps what was written when etcd, the API server or the controllers are killed', async () => {
    explainFailure();
    await addNamespace(cluster.api, 'kept');
    await cluster.api.apply(service('kept', 'reviews'));
    const before = await podIn('kept', 'reviews-1', '10.244.2.1');
    for (const component of [cluster.etcd, cluster.apiServer, cluster.controllerManager]) {
      await component.kill();
      expect(component.running).toBe(false);
      await component.start();
    }
    const served = await eventually('the API server answers', () => cluster.api.get<RunningPod>(before), 30_000);
    expect(served.metadata.uid).toBe(before.metadata.uid);
    await podIn('kept', 'reviews-2', '10.244.2.2');
    await eventually(
      'controllers work on',
      async () => addresses(await slicesOf('kept', 'reviews'), true).join() === '10.244.2.1,10.244.2.2',
      60_000,
    );
  });

  it('deletes a namespace with all that is in it', async () => {
    explainFailure();
    await addNamespace(cluster.api, 'short');
    await cluster.api.apply(service('short', 'reviews'));
    const pod = await podIn('short', 'reviews-1', '10.244.3.1');
    await removeNamespace(cluster.api, 'short');
    await addNamespace(cluster.api, 'short');
    expect(await cluster.api.find(pod)).toBeUndefined();
    expect(await slicesOf('short', 'reviews')).toEqual([]);
  });

  it('leaves nothing behind', async () => {
    const other = await TestCluster.start();
    const running = other.components.map((component) => component.pid);
    expect(running.every((pid) => isRunning(pid))).toBe(true);
    await other[Symbol.asyncDispose]();
    expect(running.filter((pid) => isRunning(pid))).toEqual([]);
    expect(existsSync(other.folder.path)).toBe(false);
  });

  it('leaves nothing behind when a person presses Ctrl-C', async () => {
    // A group of its own, because a terminal sends the signal to all processes of the group.
    const main = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    const { pid: group } = main;
    if (group === undefined) throw new Error('no process was started');
    try {
      let said = '';
      for await (const line of createInterface({ input: main.stdout })) {
        said += line;
        if (said.includes('Ctrl-C')) break;
      }
      const [, folder = ''] = /KUBECONFIG=(\S+)\/admin\.kubeconfig/.exec(said) ?? [];
      expect(existsSync(join(folder, 'etcd'))).toBe(true);
      const ended = once(main, 'exit');
      process.kill(-group, 'SIGINT');
      expect(await ended).toEqual([null, 'SIGINT']);
      await eventually('the whole group is gone', async () => !isRunning(-group));
      expect(existsSync(folder)).toBe(false);
    } finally {
      if (isRunning(-group)) process.kill(-group, 'SIGKILL');
    }
  });
});

function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    return process.kill(pid, 0);
  } catch {
    // No such process.
    return false;
  }
}
