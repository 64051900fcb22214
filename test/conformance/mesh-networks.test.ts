/** Istio's cases of several networks: which addresses proxies of each get for the endpoints of all. */
import { fromBinary } from '@bufbuild/protobuf';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { ConfigMap } from '../../src/apis/config-map.ts';
import type { ConfigObject } from '../../src/apis/object.ts';
import { meshNetworksOf } from '../../src/apis/mesh-networks.ts';
import { parseObject } from '../../src/apis/parse.ts';
import { openProxy, snapshotOf } from '../../src/snapshot/testing/snapshots.ts';
import { endpointType } from '../../src/wire/types.ts';
import { PartsView } from '../../src/xds/view.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js';

const cases = new URL('../../../shared/conformance/mesh-networks/cases/', import.meta.url);
const found = existsSync(cases);
if (!found && process.env['CI'] !== undefined) throw new Error(`the cases of networks are needed: ${cases.pathname} is missing`);

interface Case {
  readonly clusters: Readonly<Record<string, string>>;
  readonly config?: string;
  readonly meshNetworks?: object;
  readonly proxies: readonly {
    readonly proxy: {
      readonly id: string;
      readonly type: string;
      readonly ipAddresses: readonly string[];
      readonly dnsDomain: string;
      readonly metadata: Readonly<Record<string, unknown>>;
    };
    readonly endpoints?: Readonly<Record<string, readonly string[]>>;
    readonly weightedEndpoints?: Readonly<
      Record<
        string,
        readonly { readonly weight: number; readonly endpoints: readonly { readonly address: string; readonly weight: number }[] }[]
      >
    >;
  }[];
}

interface Raw {
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string };
  readonly addressType?: string;
  readonly endpoints?: readonly { readonly addresses: readonly string[]; readonly targetRef?: { readonly name: string } }[];
  readonly status?: object;
}

/** The tests of the peer leave out what a kubelet writes: names of nodes, addresses of pods. */
function completed(raw: Raw, all: readonly Raw[]): object {
  // Nor would an API server take this name.
  if (raw.kind === 'ServiceEntry') return { ...raw, metadata: { ...raw.metadata, name: raw.metadata.name?.toLowerCase() } };
  if (raw.kind === 'Node') return { ...raw, metadata: { name: 'node', ...raw.metadata } };
  if (raw.kind === 'EndpointSlice') return { ...raw, addressType: 'IPv4' };
  if (raw.kind !== 'Pod') return raw;
  const podIP = all.flatMap(({ endpoints = [] }) => endpoints).find(({ targetRef }) => targetRef?.name === raw.metadata.name)?.addresses[0];
  return { ...raw, status: { phase: 'Running', podIP } };
}

function objectsOf(file: URL, cluster: string | undefined): ConfigObject[] {
  const raws = parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => (document.toJS() as Raw | null) ?? []);
  return raws.map((raw) => {
    const { object, problems } = parseObject(completed(raw, raws), cluster === undefined ? {} : { cluster });
    if (object === undefined) throw new Error(`${file.pathname}: ${JSON.stringify(problems)}`);
    return object;
  });
}

describe.skipIf(!found)(`Istio's cases of networks${found ? '' : ' (skipped: conformance data is not beside the repository)'}`, () => {
  it.each(found ? readdirSync(cases).sort() : [])('%s', (name) => {
    const dir = new URL(`${name}/`, cases);
    const one = JSON.parse(readFileSync(new URL('case.json', dir), 'utf8')) as Case;
    const objects = Object.entries(one.clusters).flatMap(([id, file]) =>
      objectsOf(new URL(file, dir), id === 'Kubernetes' ? undefined : id),
    );
    if (one.config !== undefined) objects.push(...objectsOf(new URL(one.config, dir), undefined));
    const clusterOf = ({ metadata }: { readonly metadata: Readonly<Record<string, unknown>> }): string | undefined => {
      const id = metadata['CLUSTER_ID'];
      return typeof id === 'string' && id !== 'Kubernetes' ? id : undefined;
    };
    const snapshot = snapshotOf(objects, undefined, undefined, undefined, undefined, clusterOf);
    if (one.meshNetworks !== undefined) {
      const map = {
        kind: 'ConfigMap',
        namespace: 'istio-system',
        name: 'istio',
        origin: {},
        spec: { data: { meshNetworks: JSON.stringify(one.meshNetworks) } },
      };
      const { networks, problems } = meshNetworksOf(map as unknown as ConfigMap);
      if (problems.length > 0) throw new Error(JSON.stringify(problems));
      snapshot.objects.setMeshNetworks({ networks });
    }
    for (const { proxy, endpoints, weightedEndpoints } of one.proxies) {
      const opened = openProxy(snapshot, {
        id: `${proxy.type}~${proxy.ipAddresses[0]}~${proxy.id}~${proxy.dnsDomain}`,
        cluster: '',
        metadata: proxy.metadata,
        userAgentName: 'envoy',
        userAgentVersion: '',
      });
      const sets: Record<string, string[]> = {};
      const weights: Record<string, object[]> = {};
      for (const { name: cluster, bytes } of new PartsView(opened.parts).resources(endpointType)) {
        const assignment = fromBinary(ClusterLoadAssignmentSchema, bytes);
        const localities = assignment.endpoints.map(({ lbEndpoints, loadBalancingWeight }) => ({
          weight: loadBalancingWeight,
          endpoints: lbEndpoints.map(({ hostIdentifier, loadBalancingWeight: weight }) => {
            const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
            if (address?.case !== 'socketAddress') throw new Error('no address');
            return { address: address.value.address, port: address.value.portSpecifier.value, weight };
          }),
        }));
        const all = localities.flatMap((l) => l.endpoints);
        if (all.length === 0) continue;
        sets[cluster] = all.map(({ address, port }) => `${address}:${port}`).sort();
        weights[cluster] = localities.map((l) => ({
          weight: l.weight,
          endpoints: l.endpoints.map(({ address, weight }) => ({ address, weight })),
        }));
      }
      const listed = Object.entries(endpoints ?? {}).map(([cluster, addresses]) => [cluster.toLowerCase(), [...addresses].sort()] as const);
      expect({ ...(endpoints && { sets }), ...(weightedEndpoints && { weights }) }, proxy.id).toEqual({
        ...(endpoints && { sets: Object.fromEntries(listed) }),
        ...(weightedEndpoints && { weights: weightedEndpoints }),
      });
    }
  });
});
