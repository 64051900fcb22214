/** The roles in the documentation are enough: a control plane that has these alone is ready, leads, publishes its roots and rotates them. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Discovery } from '../envoy/harness/discovery.ts';
import { Folder } from '../envoy/harness/folder.ts';
import { http } from '../envoy/harness/http.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { installCrds } from './harness/crds.ts';
import { addNamespace, addServiceAccount } from './harness/objects.ts';

const root = join(import.meta.dirname, '..', '..');

interface Role {
  readonly kind: 'Role' | 'ClusterRole';
  readonly metadata: { readonly name: string };
}

/** The roles among the examples of a page. */
function rolesIn(page: string): readonly Role[] {
  const blocks = [...readFileSync(join(root, 'docs', page), 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```/gm)];
  const documents = blocks.flatMap(([, text = '']) => parseAllDocuments(text).map((document) => document.toJS() as Partial<Role> | null));
  return documents.filter((document): document is Role => document?.kind === 'Role' || document?.kind === 'ClusterRole');
}

describe('the documented permissions', () => {
  const stack = new AsyncDisposableStack();
  let cluster: TestCluster;
  let discovery: Discovery;

  beforeAll(async () => {
    cluster = stack.use(await TestCluster.start({ binaries: await clusterBinaries() }));
    await installCrds(cluster.api);
    await addNamespace(cluster.api, 'istio-system');
    await addServiceAccount(cluster.api, 'istio-system', 'mizzen');
    const roles = [...rolesIn('kubernetes.md'), ...rolesIn('identity.md')];
    if (roles.length < 4) throw new Error(`the pages have ${roles.length} roles`);
    for (const { kind, ...role } of roles) {
      await cluster.apply(JSON.stringify({ kind, ...role }));
      const { name } = role.metadata;
      const binding =
        kind === 'Role'
          ? ['rolebinding', name, '-n', 'istio-system', `--role=${name}`]
          : ['clusterrolebinding', name, `--clusterrole=${name}`];
      await cluster.kubectl(['create', ...binding, '--serviceaccount=istio-system:mizzen']);
    }
    const token = (await cluster.kubectl(['create', 'token', 'mizzen', '-n', 'istio-system'])).trim();
    const folder = stack.use(new Folder('permissions'));
    discovery = stack.use(
      await Discovery.start({
        kubeconfig: cluster.kubeconfigFor('mizzen', { token }),
        state: folder.at('state'),
        log: folder.at('discovery.log'),
        flags: ['--root-rotation-patience', '1s'],
      }),
    );
  }, 3_600_000);

  afterAll(() => stack.disposeAsync());

  const explainFailure = (): void => onTestFailed(() => console.error(discovery.log(30)));

  const rootsIn = (namespace: string): Promise<string> =>
    cluster.kubectl(['get', 'configmap', 'istio-ca-root-cert', '-n', namespace, '--ignore-not-found', '-o', 'jsonpath={.data}']);

  it('let it read, lead and publish its roots, and nothing of it is refused', async () => {
    explainFailure();
    await eventually('the roots are published', async () => (await rootsIn('default')).includes('BEGIN CERTIFICATE'));
    await addNamespace(cluster.api, 'later');
    await eventually('also later', async () => (await rootsIn('later')).includes('BEGIN CERTIFICATE'));
    const { adminAddress: address, monitoring: port } = discovery.addresses;
    expect(JSON.parse((await http({ address, port, path: '/debug/problems' })).body)).toEqual([]);
    expect(discovery.fullLog()).not.toMatch(/forbidden/i);
  });

  it('let it rotate its root', async () => {
    explainFailure();
    const before = await rootsIn('later');
    const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
    const cli = async (...args: readonly string[]): Promise<string> =>
      (await promisify(execFile)(process.execPath, [join(root, 'src', 'main.ts'), 'ca', ...args], { env })).stdout;
    expect(await cli('rotate')).toBe('staged\n');
    await eventually(
      'it is retired',
      async () => (await cli('status')).startsWith('staged -> distributed -> signing -> [retired]\n'),
      30_000,
    );
    await eventually('the new root is published', async () => {
      const after = await rootsIn('later');
      return after !== before && after.split('BEGIN CERTIFICATE').length === 2;
    });
    expect(discovery.fullLog()).not.toMatch(/forbidden/i);
  });
});
