/** Objects that may refuse traffic and are not translated: of interest only for whom they select. */
import type { PolicyTargetReference } from '../apis/common.ts';
import type { EnvoyFilter } from '../apis/envoy-filter.ts';
import { keyOf, type ObjectKey } from '../apis/object.ts';
import { protections, type Protection } from '../apis/protection.ts';
import type { TrafficExtension } from '../apis/traffic-extension.ts';
import type { WasmPlugin } from '../apis/wasm-plugin.ts';
import { firstPair, matchesLabels, type Labels } from '../lib/labels.ts';
import { Derived, type Index, type KeySource } from '../store/collection.ts';
import type { Service } from './model.ts';
import type { Objects } from './objects.ts';

export interface MeshExtension {
  readonly object: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  /** Empty: everything, unless there are targets. */
  readonly selector: Labels;
  readonly targets: readonly PolicyTargetReference[];
  readonly protections: readonly Protection[];
}

/** A proxy's workload, as far as objects select by it. */
export interface Selected {
  readonly type: 'sidecar' | 'router';
  readonly namespace: string;
  readonly labels: Labels;
  /** Services that select it. */
  readonly services: () => readonly Service[];
}

const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';

interface Kind {
  readonly extensions: Pick<KeySource<MeshExtension>, 'get'>;
  /** By `namespace|key=value` of the selector's first pair. */
  readonly bySelector: Index<MeshExtension>;
}

export class Extensions {
  private readonly kinds: readonly Kind[];

  constructor({ kinds }: Objects, onFault: (collection: string, key: string, error: unknown) => void) {
    const derive = <O extends WasmPlugin | TrafficExtension | EnvoyFilter>(name: string, from: KeySource<O>): Kind => {
      const extensions = new Derived<O, MeshExtension>({ name, from, compute: (_key, o) => extensionOf(o), onFault });
      return { extensions, bySelector: extensions.index((e) => [`${e.namespace}|${firstPair(e.selector) ?? ''}`]) };
    };
    this.kinds = [
      derive('wasmPlugins', kinds.WasmPlugin),
      derive('trafficExtensions', kinds.TrafficExtension),
      derive('envoyFilters', kinds.EnvoyFilter),
    ];
  }

  /** Those of its own and the root namespace that may refuse traffic to the workload, with the paths that say so. */
  protecting(workload: Selected, rootNamespace: string): { readonly extension: MeshExtension; readonly paths: readonly string[] }[] {
    const buckets = ['', ...Object.entries(workload.labels).map(([key, value]) => `${key}=${value}`)];
    return [...new Set([rootNamespace, workload.namespace])].flatMap((namespace) =>
      this.kinds.flatMap(({ extensions, bySelector }) =>
        buckets.flatMap((bucket) =>
          [...bySelector.keys(`${namespace}|${bucket}`)].flatMap((key) => {
            const extension = extensions.get(key);
            if (extension === undefined || !selects(extension, workload, rootNamespace)) return [];
            const paths = extension.protections.filter((p) => (workload.type === 'sidecar' ? p.sidecars : p.gateways)).map((p) => p.path);
            return paths.length === 0 ? [] : [{ extension, paths }];
          }),
        ),
      ),
    );
  }
}

function extensionOf(object: WasmPlugin | TrafficExtension | EnvoyFilter): MeshExtension | undefined {
  const found: readonly Protection[] =
    object.unreadable === true ? [{ path: 'spec', sidecars: true, gateways: true }] : protections(object.kind, object.spec);
  if (found.length === 0) return undefined;
  const selector = object.kind === 'EnvoyFilter' ? object.spec.workloadSelector?.labels : object.spec.selector?.matchLabels;
  const targetRef = object.kind === 'WasmPlugin' ? object.spec.targetRef : undefined;
  return {
    object: keyOf(object),
    name: object.name,
    namespace: object.namespace,
    selector: selector ?? {},
    targets: [...(object.spec.targetRefs ?? []), ...(targetRef === undefined ? [] : [targetRef])],
    protections: found,
  };
}

function selects({ namespace, selector, targets }: MeshExtension, workload: Selected, rootNamespace: string): boolean {
  if (targets.length === 0) return matchesLabels(selector, workload.labels);
  return targets.some(({ kind, name }) => {
    switch (kind) {
      case 'Gateway':
        return namespace === workload.namespace && workload.labels[gatewayNameLabel] === name;
      case 'GatewayClass':
        return namespace === rootNamespace && workload.labels[gatewayNameLabel] !== undefined;
      // A waypoint would stand before them; where it does not, nothing stands there but the workload's own proxy.
      case 'Service':
        return workload.services().some((s) => s.registry === 'Kubernetes' && s.namespace === namespace && s.name === name);
      case 'ServiceEntry':
        return workload.services().some((s) => s.registry === 'ServiceEntry' && s.namespace === namespace && s.name === name);
      default:
        return namespace === workload.namespace;
    }
  });
}
