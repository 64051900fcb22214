/** A rotation of roots as a person asks for it and follows it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CaStatus } from '../../src/ca/status.ts';
import { eventually } from '../envoy/harness/wait.ts';
import type { KubeObject } from './harness/api.ts';
import type { TestCluster } from './harness/cluster.ts';
import type { KubernetesMesh } from './mesh.ts';

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** What `mizzen ca` prints for the cluster. */
export async function mizzenCa(cluster: TestCluster, ...args: readonly string[]): Promise<string> {
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
  return (await promisify(execFile)(process.execPath, [main, 'ca', ...args], { env })).stdout;
}

/** What the replicas tell each other of it. */
export async function caStatus({ api }: TestCluster): Promise<CaStatus> {
  const map = await api.find<KubeObject & { readonly data: Readonly<Record<string, string>> }>({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'istio-system', name: 'mizzen-ca' },
  });
  return JSON.parse(map?.data['status.json'] ?? '{}') as CaStatus;
}

/** Returns when the rotation has come so far; meanwhile the pods' kubelets follow the ConfigMaps with the roots. */
export async function rotationIn(
  mesh: KubernetesMesh,
  pods: readonly string[],
  phase: CaStatus['phase'],
  limitMs: number,
  and: (seen: CaStatus) => boolean = () => true,
): Promise<CaStatus> {
  return eventually(
    `the rotation is ${phase}`,
    async () => {
      for (const name of pods) await mesh.syncRoots(mesh.workload(name));
      const seen = await caStatus(mesh.cluster);
      return seen.phase === phase && and(seen) ? seen : undefined;
    },
    limitMs,
  );
}
