import type { Item, Manifest, MeshService } from './mesh.ts';

/** Service and account of a mesh service, which are the same in a folder and in a cluster. */
export function serviceManifest({ name, namespace, clusterIP }: MeshService): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { clusterIP, selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  };
}

/** As a folder holds it: endpoints are WorkloadEntries, because there are no pods. */
export function folderManifests(item: Item): Manifest[] {
  if ('object' in item) return [item.object];
  const { service } = item;
  return [
    serviceManifest(service),
    ...service.endpoints.map(({ name, address, labels }) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name, namespace: service.namespace },
      spec: { address, labels, serviceAccount: service.name },
    })),
  ];
}

/** Tells items apart. */
export function keyOf(item: Item): string {
  if ('service' in item) return `MeshService/${item.service.namespace}/${item.service.name}`;
  const { kind, metadata } = item.object;
  return `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
}
