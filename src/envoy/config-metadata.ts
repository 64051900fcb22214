import type { ObjectKey } from '../apis/object.ts';

/** Namespace of Istio's facts in Envoy's metadata. */
export const istioMetadata = 'istio';

/** Namespace of ours: of an endpoint `name`, `namespace`, `service` and `revision` of its workload. */
export const peerMetadata = 'mizzen';

/**
 * `/apis/<group>/<version>/namespaces/<namespace>/<kind>/<name>`: how Istio names the object behind a resource in metadata `istio.config`, which
 * istioctl and Kiali read. Only kinds of networking.istio.io end up there.
 */
export function configPath(object: ObjectKey): string {
  const [kind = '', namespace = '', ...name] = object.split('/');
  return `/apis/networking.istio.io/v1/namespaces/${namespace}/${kebab(kind)}/${name.join('/')}`;
}

function kebab(kind: string): string {
  return kind.replace(/(?!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}
