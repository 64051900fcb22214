import type { Part, StreamStatus, TypeStatus } from '../../xds/source.ts';

export const synced: TypeStatus = {
  subscribed: '*',
  sentVersion: '7',
  ackedVersion: '7',
  sentNonce: 'n7',
  ackedNonce: 'n7',
  sentAtMs: 1_700_000_000_000,
  state: 'SYNCED',
  heldBack: [],
};

/** A connected sidecar of the workload `name` in namespace `shop`. */
export function fakeStream(name: string, types: Readonly<Record<string, TypeStatus>> = {}, parts: readonly Part[] = []): StreamStatus {
  const id = `sidecar~10.0.0.1~${name}.shop~shop.svc.cluster.local`;
  return {
    subscription: {
      connectionId: `${id}-1`,
      node: { id, cluster: `${name}.shop`, metadata: { CLUSTER_ID: 'Kubernetes' }, userAgentName: 'envoy', userAgentVersion: '1.40.0' },
      parts,
      placed: true,
      onPartsChanged: () => {},
      onFailed: () => {},
      explain: (_type, resource) => ({ part: 'outbound', objects: [`VirtualService/shop/${resource} (reviews.yaml:3)`] }),
      close: () => {},
    },
    protocol: 'delta',
    caller: {
      address: '127.0.0.1:4711',
      secure: true,
      identity: {
        spiffeId: `spiffe://cluster.local/ns/shop/sa/${name}`,
        trustDomain: 'cluster.local',
        namespace: 'shop',
        serviceAccount: name,
      },
    },
    connectedAtMs: 1_700_000_000_000,
    types: new Map(Object.entries(types)),
  };
}
