import type { Flags } from './flags.ts';
import type { Conditions } from './report/result.ts';
import type { MeshSize } from './workload/mesh.ts';

/** The sizes of the mesh that are measured, from small to large. */
export function sizesOf({ services, virtualServices, proxies, layout, sweep }: Flags): MeshSize[] {
  const sizes =
    sweep === undefined ? [{ services, proxies }] : sweep.values.map((value) => ({ services, proxies, [sweep.dimension]: value }));
  // A small size has as many VirtualServices as it can.
  return sizes.map((size) => ({ ...size, virtualServices: Math.min(virtualServices, size.services), layout }));
}

export function conditionsOf({ protocol, feed, tls, sds, slowReaders, nack, workers, replicas }: Flags): Conditions {
  return { protocol, feed, tls, sds, slowReaders, nack: nack?.text ?? '', workers, replicas };
}
