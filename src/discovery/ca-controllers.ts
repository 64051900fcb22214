/** What is done for the certificate authority: by the leader in a cluster, by the one daemon on a folder. */
import type { Log } from '../admin/log.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import { objectKey } from '../apis/object.ts';
import { newSelfSignedMaterial } from '../ca/authority.ts';
import { RotationController } from '../ca/cluster/rotation-controller.ts';
import type { DriverOptions } from '../ca/driver.ts';
import { runFolderRotation } from '../ca/folder-rotation.ts';
import { parseReport } from '../ca/report.ts';
import type { Controller } from '../controllers/controller.ts';
import { RootConfigMaps } from '../controllers/roots/root-config-maps.ts';
import { systemClock } from '../kubernetes/clock.ts';
import type { Objects } from '../mesh/objects.ts';
import { matchesSelector } from '../sources/kubernetes/selection.ts';
import type { Certificates } from './certificates.ts';
import type { DiscoveryOptions } from './options.ts';
import type { ClusterAccess } from './origin.ts';
import type { JoinedReplicas } from './replicas.ts';

/** On a folder nobody tells which proxies are gone for good: one that has not come back after so long is taken for one. */
export const folderHorizonMs = 10 * 60_000;

/** Under which each replica publishes what its proxies have accepted. */
export const caReportKey = 'ca';

export interface CaOptions {
  readonly certificates: Certificates;
  readonly joined: Pick<JoinedReplicas, 'replicas' | 'all'>;
  readonly options: Pick<DiscoveryOptions, 'instance' | 'stateDir' | 'rotation'>;
  readonly log: Log;
}

export interface CaControllersOptions extends CaOptions {
  readonly cluster: ClusterAccess;
  readonly mesh: () => MeshConfig;
  readonly objects: Objects;
}

export function caControllers(all: CaControllersOptions): Controller[] {
  const { cluster, certificates, joined, objects, options, mesh, log: logs } = all;
  const log = logs.scope('controllers');
  const { bundle } = certificates.ca;
  return [
    new RotationController({
      ...driverOptions(all, { patienceMs: 120_000, missingMs: certificates.ca.defaultTtlMs }),
      ...cluster,
      namespace: options.instance.namespace,
      exists: (proxy) => proxyExists(objects, proxy),
      replicaExists: (name) => objects.object(objectKey('Pod', options.instance.namespace, name)) !== undefined,
      onReplicasChange: (listener) => joined.replicas.onChange(listener),
    }),
    new RootConfigMaps({
      ...cluster,
      clock: systemClock,
      roots: () => bundle.pem,
      onRootsChange: (listener) => bundle.onChange(listener),
      selects: (labels) => {
        const { discoverySelectors: selectors = [] } = mesh();
        return selectors.length === 0 || selectors.some((selector) => matchesSelector(selector, labels));
      },
      onFault: (message, error) => log.warn({ err: error }, message),
    }),
  ];
}

/** Proxies are named as their pods are, those of other machines as their WorkloadEntries. */
export function proxyExists(objects: Objects, proxy: string): boolean {
  const [pod = '', cluster] = proxy.split('@');
  const dot = pod.lastIndexOf('.');
  const [name, namespace] = [pod.slice(0, dot), pod.slice(dot + 1)];
  return ['Pod', 'WorkloadEntry'].some((kind) => objects.object(objectKey(kind, namespace, name, cluster)) !== undefined);
}

/** Runs until the result is called. */
export function startFolderRotation(all: CaOptions): () => Promise<void> {
  const { options, joined, log } = all;
  const stop = new AbortController();
  const running = runFolderRotation(
    {
      ...driverOptions(all, { patienceMs: 60_000, missingMs: folderHorizonMs }),
      stateDir: options.stateDir,
      exists: () => true,
      replicaExists: () => false,
      onReplicasChange: (listener) => joined.replicas.onChange(listener),
    },
    stop.signal,
  );
  running.catch((error: unknown) => log.scope('ca').error({ err: error }, 'fault in the rotation of the root'));
  return async () => {
    stop.abort();
    await running.catch(() => undefined);
  };
}

function driverOptions(
  { certificates, joined, options, log: logs }: CaOptions,
  defaults: { readonly patienceMs: number; readonly missingMs: number },
): Omit<DriverOptions, 'exists' | 'replicaExists' | 'request' | 'onStatus'> {
  const log = logs.scope('ca');
  const { store, ca } = certificates;
  return {
    store,
    clock: systemClock,
    now: Date.now,
    // Control planes side by side share the authority: the proxies of all of them count.
    replicas: () =>
      joined.replicas.current
        ? joined.all().map(({ name, live, data }) => ({ name, live, report: parseReport(data[caReportKey]) }))
        : undefined,
    newRoot: () => newSelfSignedMaterial(ca.bundle.trustDomain, Date.now()),
    patienceMs: options.rotation.patienceMs ?? defaults.patienceMs,
    missingMs: defaults.missingMs,
    leafMs: ca.defaultTtlMs,
    renewalFraction: options.rotation.renewalFraction,
    onStep: (said) => log.info({ roots: store.view.roots.length, state: store.view.state.phase }, said),
    onFault: (error) => log.warn({ err: error }, 'the rotation of the root cannot go on; it is tried again'),
  };
}
