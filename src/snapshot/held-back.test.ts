import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { ConfigObject } from '../apis/object.ts';
import { keyOf } from '../apis/object.ts';
import { parseObject } from '../apis/parse.ts';
import { listenerType } from '../wire/types.ts';
import { PartsView } from '../xds/view.ts';
import { nodeOf, openProxy, snapshotOf } from './testing/snapshots.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';

function objectOf(apiVersion: string, kind: string, namespace: string, name: string, spec: object): ConfigObject {
  const parsed = parseObject({ apiVersion, kind, metadata: { name, namespace }, spec }, { file: `${name}.yaml`, line: 1 });
  if (parsed.object === undefined) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

const mesh = ['shop', 'bank'].flatMap((namespace) => [
  objectOf('v1', 'Service', namespace, 'web', { clusterIP: '10.0.0.1', selector: { app: 'web' }, ports: [{ name: 'http', port: 80 }] }),
  objectOf('networking.istio.io/v1', 'WorkloadEntry', namespace, 'web-1', { address: '10.1.0.1', labels: { app: 'web' } }),
]);

const plugin = (namespace: string, spec: object): ConfigObject =>
  objectOf('extensions.istio.io/v1alpha1', 'WasmPlugin', namespace, 'guard', { url: 'oci://x/y', phase: 'AUTHZ', ...spec });

const filter = (namespace: string, spec: object, context = 'SIDECAR_INBOUND'): ConfigObject =>
  objectOf('networking.istio.io/v1alpha3', 'EnvoyFilter', namespace, 'guard', {
    configPatches: [
      {
        applyTo: 'HTTP_FILTER',
        match: { context },
        patch: { operation: 'INSERT_FIRST', value: { name: 'envoy.filters.http.ext_authz', typed_config: { '@type': 'x/y' } } },
      },
    ],
    ...spec,
  });

/** Namespaces whose workload refuses everything: RBAC filters without a policy in them. */
function held(...extra: readonly ConfigObject[]): { readonly held: string[]; readonly problems: readonly string[] } {
  const snapshot = snapshotOf([...mesh, ...extra]);
  const namespaces = ['bank', 'shop'].filter((namespace) => {
    const proxy = openProxy(snapshot, nodeOf('web-1', namespace));
    const inbound = [...new PartsView(proxy.parts).resources(listenerType)].find((r) => r.name === 'virtualInbound');
    const listener = fromBinary(ListenerSchema, inbound!.bytes);
    return listener.filterChains.some((chain) => chain.filters.some((f) => f.name === 'envoy.filters.network.rbac'));
  });
  return { held: namespaces, problems: snapshot.problems().map((p) => `${p.object} ${p.path} ${p.reason}`) };
}

describe('what is not translated and may refuse', () => {
  it('holds back the workloads that it selects, and nothing else', () => {
    expect(held()).toEqual({ held: [], problems: [] });
    expect(held(plugin('shop', { selector: { matchLabels: { app: 'web' } } }))).toEqual({
      held: ['shop'],
      problems: ['WasmPlugin/shop/guard spec.phase Held'],
    });
    expect(held(plugin('shop', { selector: { matchLabels: { app: 'other' } } })).held).toEqual([]);
    expect(held(plugin('shop', {})).held).toEqual(['shop']);
    expect(held(filter('shop', { workloadSelector: { labels: { app: 'web' } } }))).toEqual({
      held: ['shop'],
      problems: ['EnvoyFilter/shop/guard spec.configPatches[0] Held'],
    });
    expect(held(filter('shop', {}, 'GATEWAY')).held).toEqual([]);
  });

  it('holds back the whole mesh from the root namespace', () => {
    expect(held(plugin('istio-system', {})).held).toEqual(['bank', 'shop']);
    expect(held(filter('istio-system', { workloadSelector: { labels: { app: 'web' } } })).held).toEqual(['bank', 'shop']);
  });

  it('holds back what stands behind a target', () => {
    const target = (kind: string, name: string, group = '') => ({ targetRefs: [{ group, kind, name }] });
    expect(held(plugin('shop', target('Service', 'web'))).held).toEqual(['shop']);
    expect(held(plugin('shop', target('Service', 'other'))).held).toEqual([]);
    expect(held(plugin('shop', target('Gateway', 'web', 'gateway.networking.k8s.io'))).held).toEqual([]);
  });

  it('lets go when it is gone', () => {
    const guard = plugin('shop', {});
    const snapshot = snapshotOf([...mesh, guard]);
    openProxy(snapshot, nodeOf('web-1', 'shop'));
    expect(snapshot.problems()).toHaveLength(1);
    snapshot.objects.remove(keyOf(guard));
    snapshot.flush();
    expect(snapshot.problems()).toEqual([]);
  });
});
