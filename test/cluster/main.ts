/** `npm run cluster`: a Kubernetes API for a person, until Ctrl-C. */
import { clusterBinaries } from './harness/binaries.ts';
import { TestCluster } from './harness/cluster.ts';
import { installCrds } from './harness/crds.ts';
import { addNode, defaultNode } from './harness/objects.ts';

const startedAt = performance.now();
const cluster = await TestCluster.start({ binaries: await clusterBinaries() });
await addNode(cluster.api, defaultNode, { region: 'region', zone: 'region-a' });
const crds = await installCrds(cluster.api).catch((fault: Error) => {
  console.error(`without Istio's CustomResourceDefinitions: ${fault.message}`);
  return [];
});
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
console.log(`
Kubernetes at ${cluster.url} after ${seconds} s, with ${crds.length} CustomResourceDefinitions and no kubelet: pods are objects.

  export KUBECONFIG=${cluster.kubeconfig}
  ${cluster.kubectlPath} get services --all-namespaces

Logs are in ${cluster.folder.path}. Ctrl-C stops all of it and removes the folder.`);

// Signals are handled by what owns the processes and the folder: it removes them, then lets the signal end this process.
for (const component of cluster.components) {
  void component.ended().then(() => console.error(`${component.name} has ended:\n${component.log(10)}`));
}
