/** `mizzen discovery` as a service account with the permissions that docs/kubernetes.md gives it, one it lacks, and two revisions side by side. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Discovery } from '../envoy/harness/discovery.ts';
import { Folder } from '../envoy/harness/folder.ts';
import { http } from '../envoy/harness/http.ts';
import { eventually } from '../envoy/harness/wait.ts';
import type { KubeObject } from './harness/api.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { installCrds } from './harness/crds.ts';
import { addNamespace, addNode, addPod, addServiceAccount, defaultNode, removePod } from './harness/objects.ts';

/** The roles, as the documents have them. */
const documented = ['kubernetes.md', 'identity.md']
  .flatMap((page) => [...readFileSync(join(import.meta.dirname, '..', '..', 'docs', page), 'utf8').matchAll(/```yaml\n([\s\S]*?)\n```/g)])
  .flatMap(([, yaml = '']) => parseAllDocuments(yaml).map((document) => document.toJS() as KubeObject))
  .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
  .map((role) => forRevisions(role, ['canary', 'poor', 'blind', 'own']));

/** With the mesh configuration of each revision, as the comment there says. */
function forRevisions(role: KubeObject, revisions: readonly string[]): KubeObject {
  const rules = role['rules'] as readonly { readonly resourceNames?: readonly string[] }[];
  const named = rules.map((rule) =>
    rule.resourceNames?.join() === 'istio' ? { ...rule, resourceNames: ['istio', ...revisions.map((name) => `istio-${name}`)] } : rule,
  );
  return { ...role, rules: named };
}

const virtualService = (name: string, revision?: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${name}
  namespace: shop
  ${revision === undefined ? '' : `labels: { istio.io/rev: ${revision} }`}
spec:
  hosts: [${name}.shop.svc.cluster.local]
  http: [{ route: [{ destination: { host: ${name}.shop.svc.cluster.local } }] }]
`;

/** A tag as istioctl makes it, without the webhooks of injection. */
const tag = (name: string, revision: string): string => `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: istio-revision-tag-${name}, labels: { istio.io/tag: ${name}, istio.io/rev: ${revision} } }
webhooks: []
`;

describe('on a cluster with RBAC', () => {
  let cluster: TestCluster;
  const stack = new AsyncDisposableStack();
  const folder = stack.use(new Folder('revisions'));
  const daemons: Discovery[] = [];

  beforeAll(async () => {
    cluster = stack.use(await TestCluster.start({ binaries: await clusterBinaries() }));
    await installCrds(cluster.api);
    await addNamespace(cluster.api, 'istio-system');
    await addNamespace(cluster.api, 'shop');
    for (const role of documented) await cluster.api.apply(role);
  }, 3_600_000);

  beforeEach(() => {
    onTestFailed(() => console.error([...daemons.map((daemon) => daemon.log(40)), cluster.logs(5)].join('\n---\n')));
  });

  afterAll(() => stack.disposeAsync());

  /** Path of a kubeconfig of a service account that is bound to the documented roles. */
  async function account(name: string): Promise<string> {
    await addServiceAccount(cluster.api, 'istio-system', name);
    for (const { kind, metadata } of documented) {
      const to = kind === 'Role' ? ['rolebinding', '-n', metadata.namespace ?? ''] : ['clusterrolebinding'];
      const [type = '', ...where] = to;
      await cluster.kubectl([
        'create',
        type,
        `${name}-${metadata.name}`,
        ...where,
        `--${kind.toLowerCase()}=${metadata.name}`,
        `--serviceaccount=istio-system:${name}`,
      ]);
    }
    const token = (await cluster.kubectl(['create', 'token', name, '-n', 'istio-system', '--duration=1h'])).trim();
    return cluster.kubeconfigFor(name, { token });
  }

  async function start(revision: string, kubeconfig: string, awaitReady = true): Promise<Discovery> {
    const daemon = stack.use(
      await Discovery.start({
        kubeconfig,
        state: folder.at(revision, 'state'),
        log: folder.at(`${revision}.log`),
        flags: ['--revision', revision],
        env: { POD_NAME: `istiod-${revision}` },
        awaitReady,
      }),
    );
    daemons.push(daemon);
    return daemon;
  }

  async function debug(daemon: Discovery, page: string): Promise<unknown> {
    const { adminAddress: address, monitoring: port } = daemon.addresses;
    return JSON.parse((await http({ address, port, path: `/debug/${page}` })).body);
  }

  /** What may not be read. */
  async function refused(daemon: Discovery): Promise<string[]> {
    const problems = (await debug(daemon, 'problems')) as { readonly reason: string; readonly message: string }[];
    return problems.filter(({ reason }) => reason === 'Refused').map(({ message }) => message);
  }

  async function routes(daemon: Discovery): Promise<string> {
    const objects = (await debug(daemon, 'configz')) as KubeObject[];
    return objects
      .filter(({ kind }) => kind === 'VirtualService')
      .map(({ metadata }) => metadata.name)
      .sort()
      .join();
  }

  it('needs the documented permissions and no others; each revision sees what is its own, and what is of a tag while that points at it', async () => {
    await cluster.apply(
      [
        virtualService('of-all'),
        virtualService('of-default', 'default'),
        virtualService('of-canary', 'canary'),
        virtualService('of-prod', 'prod'),
        tag('prod', 'default'),
      ].join('---'),
    );
    const [stable, canary] = await Promise.all([
      start('default', await account('istiod')),
      start('canary', await account('istiod-canary')),
    ]);
    expect([await routes(stable), await routes(canary)]).toEqual(['of-all,of-default,of-prod', 'of-all,of-canary']);
    expect([await refused(stable), await refused(canary)]).toEqual([[], []]);
    for (const [daemon, self] of [
      [stable, 'istiod-default'],
      [canary, 'istiod-canary'],
    ] as const) {
      await eventually(`${self} leads its own`, async () => {
        const known = (await debug(daemon, 'replicas')) as { self: string; leader: string; replicas: { name: string }[] };
        return known.leader === self && known.replicas.map(({ name }) => name).join() === self;
      });
    }
    await cluster.apply(tag('prod', 'canary'));
    await eventually('the tag has moved', async () => (await routes(canary)) === 'of-all,of-canary,of-prod');
    await eventually('and nothing is left', async () => (await routes(stable)) === 'of-all,of-default');
    await cluster.kubectl(['label', 'virtualservice', 'of-canary', '-n', 'shop', 'istio.io/rev=default', '--overwrite']);
    await eventually('the label has changed', async () => (await routes(stable)) === 'of-all,of-canary,of-default');
    await eventually('the other one has lost it', async () => (await routes(canary)) === 'of-all,of-prod');
    expect(daemons.map((daemon) => daemon.fullLog()).join('\n')).not.toMatch(/forbidden|"level":"error"/);
  });

  it('is not ready without one of them, and says on all ways which', async () => {
    const kubeconfig = await account('poor');
    const role = documented.find(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'mizzen');
    if (role === undefined) throw new Error('no ClusterRole mizzen is documented');
    const rules = role['rules'] as { readonly resources: readonly string[]; readonly apiGroups: readonly string[] }[];
    const without = rules.map((rule) => ({ ...rule, resources: rule.resources.filter((resource) => resource !== 'endpointslices') }));
    await cluster.api.apply({ ...role, rules: without.filter(({ resources }) => resources.length > 0) });
    const grant = /endpointslices.*forbidden.*grant get, list and watch on endpointslices\.discovery\.k8s\.io/;
    const daemon = await start('poor', kubeconfig, false);
    const { adminAddress: address, http: port } = daemon.addresses;
    const answer = await eventually(
      'it says what it waits for',
      async () => {
        const said = await http({ address, port, path: '/ready' });
        return grant.test(said.body) && said.body.split('\n').length === 3 ? said : undefined;
      },
      30_000,
    );
    expect(answer.status).toBe(503);
    expect(await refused(daemon)).toEqual([expect.stringMatching(grant)]);
    expect(daemon.fullLog()).toContain('this replica is not ready before it is');
    // It can be stopped all the same.
    expect(await daemon.stop()).toBe(0);
    await cluster.api.apply(role);
    await daemon.restart();
    expect(await refused(daemon)).toEqual([]);
  });

  it('leaves no record behind: it goes when the replica is stopped, and with the pod of one that is killed', async () => {
    await addNode(cluster.api, defaultNode);
    await addServiceAccount(cluster.api, 'istio-system', 'istiod-own');
    const pod = await addPod(cluster.api, {
      namespace: 'istio-system',
      name: 'istiod-own',
      ip: '10.244.0.9',
      serviceAccount: 'istiod-own',
    });
    const daemon = stack.use(
      await Discovery.start({
        kubeconfig: cluster.kubeconfig,
        state: folder.at('own', 'state'),
        log: folder.at('own.log'),
        flags: ['--revision', 'own'],
        env: { POD_NAME: pod.metadata.name, POD_UID: pod.metadata.uid ?? '' },
      }),
    );
    daemons.push(daemon);
    const record = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'mizzen-replica-own-istiod-own', namespace: 'istio-system' },
    };
    const written = await eventually('there is a record that says it is ready', async () => {
      const found = await cluster.api.find<KubeObject>(record);
      return found?.metadata.annotations?.['mizzen.io/ready'] === 'true' ? found : undefined;
    });
    expect(written.metadata).toMatchObject({
      labels: { 'mizzen.io/replica': 'true', 'mizzen.io/revision': 'own' },
      annotations: { 'mizzen.io/streams': '0' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid }],
    });
    expect(await daemon.stop()).toBe(0);
    expect(await cluster.api.find(record)).toBeUndefined();
    await daemon.restart();
    await eventually('it is there again', () => cluster.api.find(record));
    await daemon.kill();
    expect(await cluster.api.find(record)).toBeDefined();
    await removePod(cluster.api, pod);
    await eventually('it is gone with the pod', async () => (await cluster.api.find(record)) === undefined, 60_000);
  });

  it('without permission to read tags, denials that may be its own hold, routes do not, and their objects say why', async () => {
    const kubeconfig = await account('blind');
    const role = documented.find(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'mizzen');
    if (role === undefined) throw new Error('no ClusterRole mizzen is documented');
    const rules = role['rules'] as { readonly resources: readonly string[] }[];
    await cluster.api.apply({ ...role, rules: rules.filter(({ resources }) => !resources.includes('mutatingwebhookconfigurations')) });
    await cluster.apply(
      [
        virtualService('of-blue', 'blue'),
        tag('blue', 'blind'),
        `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: of-blue, namespace: shop, labels: { istio.io/rev: blue } }
spec: { action: DENY, rules: [{}] }
`,
      ].join('---'),
    );
    const daemon = await start('blind', kubeconfig);
    const denials = async (): Promise<boolean> =>
      ((await debug(daemon, 'configz')) as KubeObject[]).some(
        ({ kind, metadata }) => kind === 'AuthorizationPolicy' && metadata.name === 'of-blue',
      );
    expect([await routes(daemon), await denials()]).toEqual(['of-all', true]);
    const condition = async (kind: string): Promise<string> =>
      cluster.kubectl(['get', kind, 'of-blue', '-n', 'shop', '-o', 'jsonpath={.status.conditions[?(@.type=="Reconciled")].message}']);
    const grant = 'grant get, list and watch on mutatingwebhookconfigurations.admissionregistration.k8s.io';
    for (const kind of ['virtualservice', 'authorizationpolicy'])
      await eventually(`the condition of the ${kind}`, async () => (await condition(kind)).includes(grant), 30_000);
    await cluster.api.apply(role);
    await eventually('tags are read', async () => (await routes(daemon)) === 'of-all,of-blue', 90_000);
    expect(await denials()).toBe(true);
    let last = '';
    await eventually(
      'the condition says so',
      async () => {
        last = await condition('virtualservice');
        return last.startsWith('translated');
      },
      30_000,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; last seen: ${last}`, { cause: error });
    });
  });
});
