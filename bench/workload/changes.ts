/** The changes whose cost is measured, one kind a scenario. Each knows how to recognise itself in what a proxy receives. */
import * as types from '../streams/types.ts';
import type { Change } from './edit.ts';
import type { Mark } from './mark.ts';
import {
  clusterOf,
  endpointsPerService,
  hiddenLabel,
  hostOf,
  type Item,
  type Manifest,
  type MeshService,
  type MeshSize,
  meshConfigManifest,
  namedService,
  namespaceCount,
  namespaceManifest,
  namespaceOf,
  routeManifest,
  serviceOf,
  sidecarManifest,
  type SimulatedProxy,
} from './mesh.ts';

export interface ChangeScenario {
  readonly name: string;
  readonly title: string;
  /** Makes what the changes from `first` on need; not measured. */
  readonly prepare?: (first: number, count: number) => Change;
  /** The nth change of the run, of which the first of this kind was `first`; all differ. */
  readonly change: (n: number, first: number) => Change;
  /** Undoes what would stand in the way of other scenarios; not measured. */
  readonly restore?: (n: number) => Change;
  /** Too large to be measured several times. */
  readonly once?: true;
}

/** Changes in a run; the texts that mark them have four digits. */
export const maxChanges = 9000;

export const changeNames: readonly string[] = [
  'endpoint',
  'virtual-service',
  'destination-rule',
  'authorization-policy',
  'service-added',
  'service-removed',
  'sidecar',
  'namespace-label',
  'mesh-config',
  'bulk',
];

/** `bulkObjects`: how many are applied at once. */
export function changeScenarios(size: MeshSize, bulkObjects: number): ChangeScenario[] {
  return [
    endpointChanges(size),
    // Without VirtualServices there is none to change.
    ...(size.virtualServices > 0 ? [routeChanges(size)] : []),
    destinationRuleChanges(size),
    policyChanges(size),
    serviceAdditions(size),
    serviceRemovals(size),
    sidecarChanges(size),
    namespaceLabelChanges,
    meshConfigChanges,
    bulkChanges(size, bulkObjects),
  ];
}

/** Another address for an endpoint of a service that nothing else changes. No two are alike, and none is part of another. */
export function movedEndpoint(size: MeshSize, service: number, n: number, network = 200): { item: Item; address: string } {
  const address = `10.${network}.${100 + Math.floor(n / 100)}.${100 + (n % 100)}`;
  return { item: { service: serviceOf(size, service, address) }, address };
}

/** Who sees what is in a namespace. */
export function seenFrom(size: MeshSize, namespace: string): (proxy: SimulatedProxy) => boolean {
  return (proxy) => size.layout !== 'sidecars' || proxy.namespace === namespace;
}

const everyone = (): boolean => true;

function mark(n: number): number {
  return 1000 + n;
}

/** A service that some proxy sees, another one for each change. */
function spread(size: MeshSize, n: number, of: number): number {
  const service = (n * 7919) % of;
  const namespaces = namespaceCount(size);
  const seen = Math.min(namespaces, size.proxies);
  const namespace = service % namespaces;
  return size.layout === 'sidecars' && namespace >= seen ? (namespace % seen) % of : service;
}

function endpointChanges(size: MeshSize): ChangeScenario {
  return {
    name: 'endpoint',
    title: 'one endpoint changes',
    change: (n) => {
      const service = spread(size, n, size.services);
      const { item, address } = movedEndpoint(size, service, n);
      return {
        edit: { put: [item] },
        mark: { kind: 'text', types: [types.endpoints], text: address },
        concerns: seenFrom(size, namespaceOf(size, service)),
      };
    },
  };
}

function routeChanges(size: MeshSize): ChangeScenario {
  return {
    name: 'virtual-service',
    title: 'one VirtualService changes',
    change: (n) => {
      const text = `canary-${mark(n)}`;
      const service = spread(size, n, size.virtualServices);
      return {
        edit: { put: [{ object: routeManifest(size, service, text) }] },
        mark: { kind: 'text', types: [types.routes, types.virtualHosts], text },
        concerns: seenFrom(size, namespaceOf(size, service)),
      };
    },
  };
}

/** The name that a client asks for in TLS: it stands in the cluster and nowhere else. */
function destinationRuleChanges(size: MeshSize): ChangeScenario {
  const namespace = namespaceOf(size, 0);
  const change = (sni: string): Change => ({
    edit: {
      put: [
        {
          object: {
            apiVersion: 'networking.istio.io/v1',
            kind: 'DestinationRule',
            metadata: { name: 'bench', namespace },
            spec: { host: hostOf(size, 0), trafficPolicy: { tls: { mode: 'SIMPLE', sni } } },
          },
        },
      ],
    },
    mark: { kind: 'text', types: [types.clusters], text: sni },
    concerns: seenFrom(size, namespace),
  });
  return {
    name: 'destination-rule',
    title: 'one DestinationRule changes',
    prepare: (first) => change(`before-${mark(first)}.example.com`),
    change: (n) => change(`server-${mark(n)}.example.com`),
  };
}

/** Of one namespace: only its workloads enforce it. */
function policyChanges(size: MeshSize): ChangeScenario {
  const namespace = namespaceOf(size, 0);
  const change = (serviceAccount: string): Change => ({
    edit: {
      put: [
        {
          object: {
            apiVersion: 'security.istio.io/v1',
            kind: 'AuthorizationPolicy',
            metadata: { name: 'bench', namespace },
            spec: { action: 'DENY', rules: [{ from: [{ source: { principals: [`cluster.local/ns/bench/sa/${serviceAccount}`] } }] }] },
          },
        },
      ],
    },
    mark: { kind: 'text', types: [types.listeners], text: serviceAccount },
    concerns: (proxy) => proxy.namespace === namespace,
  });
  return {
    name: 'authorization-policy',
    title: 'one AuthorizationPolicy changes',
    prepare: (first) => change(`before-${mark(first)}`),
    change: (n) => change(`account-${mark(n)}`),
  };
}

/** A service that was not there at first: `prefix` tells the scenarios apart. */
function extraService(size: MeshSize, prefix: string, network: number, n: number): MeshService {
  const addresses = Array.from(
    { length: endpointsPerService },
    (_, e) => `10.${network + e}.${mark(n) % 100}.${Math.floor(mark(n) / 100)}`,
  );
  const namespace = namespaceOf(size, n % Math.min(namespaceCount(size), size.proxies));
  return namedService(`${prefix}-${mark(n)}`, namespace, `10.${network + 3}.${mark(n) % 100}.${Math.floor(mark(n) / 100)}`, addresses);
}

function clusterOfService({ name, namespace }: MeshService): string {
  return clusterOf(`${name}.${namespace}.svc.cluster.local`);
}

function serviceAdditions(size: MeshSize): ChangeScenario {
  return {
    name: 'service-added',
    title: 'one Service is added',
    change: (n) => {
      const service = extraService(size, 'added', 220, n);
      return {
        edit: { put: [{ service }] },
        mark: { kind: 'names', types: [types.clusters], names: [clusterOfService(service)] },
        concerns: seenFrom(size, service.namespace),
      };
    },
  };
}

function serviceRemovals(size: MeshSize): ChangeScenario {
  const removable = (n: number): MeshService => extraService(size, 'removed', 224, n);
  return {
    name: 'service-removed',
    title: 'one Service is removed',
    prepare: (first, count) => {
      const services = Array.from({ length: count }, (_, i) => removable(first + i));
      const last = removable(first + count - 1);
      return {
        edit: { put: services.map((service) => ({ service })) },
        mark: { kind: 'names', types: [types.clusters], names: [clusterOfService(last)] },
        concerns: seenFrom(size, last.namespace),
      };
    },
    change: (n) => {
      const service = removable(n);
      return {
        edit: { remove: [{ service }] },
        mark: { kind: 'removed', types: [types.clusters], names: [clusterOfService(service)] },
        concerns: seenFrom(size, service.namespace),
      };
    },
  };
}

/** A namespace sees its own services and those of one other namespace, and then those of another one instead. */
function sidecarChanges(size: MeshSize): ChangeScenario {
  const namespace = namespaceOf(size, 0);
  const concerns = (proxy: SimulatedProxy): boolean => proxy.namespace === namespace;
  const others = namespaceCount(size) - 1;
  const other = (n: number): number => 1 + (n % others);
  const clusterIn = (service: number): string => clusterOf(hostOf(size, service));
  const object = (shown: readonly string[]): Manifest => sidecarManifest(namespace, shown);
  const change = (n: number): Change => ({
    edit: { put: [{ object: object([namespaceOf(size, other(n))]) }] },
    mark: { kind: 'names', types: [types.clusters], names: [clusterIn(other(n))] },
    concerns,
  });
  const name = 'sidecar';
  const title = 'one Sidecar changes';
  if (size.layout === 'sidecars') {
    const restore = (n: number): Change => ({
      edit: { put: [{ object: object([]) }] },
      mark: { kind: 'removed', types: [types.clusters], names: [clusterIn(other(n))] },
      concerns,
    });
    return { name, title, change, restore };
  }
  return {
    name,
    title,
    // From every service to those of one namespace.
    prepare: (first) => ({
      edit: { put: [{ object: object([namespaceOf(size, other(first + 1))]) }] },
      mark: { kind: 'removed', types: [types.clusters], names: [clusterIn(other(first))] },
      concerns,
    }),
    change,
    restore: (n) => ({
      edit: { remove: [{ object: object([]) }] },
      mark: { kind: 'names', types: [types.clusters], names: [clusterIn(other(n + 1))] },
      concerns,
    }),
  };
}

/** A namespace of one service leaves the mesh and comes back: its label is what MeshConfig's `discoverySelectors` ask for. */
const namespaceLabelChanges: ChangeScenario = (() => {
  // One for each server and size: the last one may have been left hidden.
  const namespaceFor = (first: number): string => `labelled-${mark(first)}`;
  const serviceFor = (first: number): MeshService =>
    namedService('labelled', namespaceFor(first), '10.228.0.1', ['10.228.1.1', '10.228.1.2']);
  const labelled = (first: number, labels: Readonly<Record<string, string>>): Item => ({
    object: namespaceManifest(namespaceFor(first), labels),
  });
  const markFor = (kind: 'names' | 'removed', first: number): Mark => ({
    kind,
    types: [types.clusters],
    names: [clusterOfService(serviceFor(first))],
  });
  return {
    name: 'namespace-label',
    title: 'the label of one namespace changes, which takes it out of the mesh or into it',
    prepare: (first) => ({
      edit: { put: [labelled(first, {}), { service: serviceFor(first) }] },
      mark: markFor('names', first),
      concerns: everyone,
    }),
    change: (n, first) => {
      const hides = (n - first) % 2 === 0;
      return {
        edit: { put: [labelled(first, hides ? { [hiddenLabel]: 'yes' } : {})] },
        mark: markFor(hides ? 'removed' : 'names', first),
        concerns: everyone,
      };
    },
  };
})();

/** The format of access logs: it stands in every listener. */
const meshConfigChanges: ChangeScenario = {
  name: 'mesh-config',
  title: 'the mesh config changes',
  change: (n) => {
    const text = `format-${mark(n)}`;
    const settings = { accessLogFile: '/dev/stdout', accessLogFormat: `${text} %START_TIME%\n` };
    return {
      edit: { put: [{ object: meshConfigManifest(settings) }] },
      mark: { kind: 'text', types: [types.listeners], text },
      concerns: everyone,
    };
  },
};

/** ServiceEntries, each with a cluster, an endpoint and a virtual host of its own. */
function bulkChanges(size: MeshSize, count: number): ChangeScenario {
  const namespace = namespaceOf(size, 0);
  const hosts = (n: number): string[] => Array.from({ length: count }, (_, i) => `bulk-${mark(n)}-${i}.example.com`);
  const items = (n: number): Item[] =>
    hosts(n).map((host, i) => ({
      object: {
        apiVersion: 'networking.istio.io/v1',
        kind: 'ServiceEntry',
        metadata: { name: host.slice(0, host.indexOf('.')), namespace },
        spec: {
          hosts: [host],
          ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
          resolution: 'STATIC',
          location: 'MESH_EXTERNAL',
          endpoints: [{ address: `10.229.${i >> 8}.${i & 255}` }],
        },
      },
    }));
  const concerns = seenFrom(size, namespace);
  return {
    name: 'bulk',
    title: `${count} objects are applied at once`,
    once: true,
    change: (n) => ({
      edit: { put: items(n) },
      mark: { kind: 'names', types: [types.clusters], names: hosts(n).map(clusterOf) },
      concerns,
    }),
    restore: (n) => ({
      edit: { remove: items(n) },
      mark: { kind: 'removed', types: [types.clusters], names: hosts(n).map(clusterOf) },
      concerns,
    }),
  };
}
