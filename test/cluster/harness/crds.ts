/** CustomResourceDefinitions of Istio, the Gateway API and MCS, which lie beside the repository with the other conformance data. */
import { caseFile, caseNames, documents } from '../../conformance/data.ts';
import { eventually } from '../../envoy/harness/wait.ts';
import type { KubeApi, KubeObject } from './api.ts';

export type CrdSet =
  'istio-crds' | 'gateway-api-crds' | 'gateway-api-inference-extension-crds' | 'mcs-serviceexport-crd' | 'mcs-serviceimport-crd';

/** The definitions of one set. Throws with what to do when they are not there. */
export function crdManifests(set: CrdSet): readonly KubeObject[] {
  if (!caseNames('crds').includes(set)) throw new Error(`the conformance data holds no CRDs named ${set}`);
  return documents(caseFile('crds', set, `${set}.yaml`)) as unknown as KubeObject[];
}

interface Definition extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Installs the sets (default: Istio's) and returns the names of the definitions when all of them are served. */
export async function installCrds(api: KubeApi, ...sets: readonly CrdSet[]): Promise<readonly string[]> {
  const manifests = (sets.length === 0 ? (['istio-crds'] as const) : sets).flatMap(crdManifests);
  await Promise.all(manifests.map((manifest) => api.apply(manifest)));
  for (const manifest of manifests) {
    await eventually(
      `${manifest.metadata.name} is served`,
      async () => {
        const { status } = await api.get<Definition>(manifest);
        return status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True');
      },
      60_000,
    );
  }
  return manifests.map((manifest) => manifest.metadata.name);
}
