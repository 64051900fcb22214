/** Where the daemon's objects come from, and who reviews the tokens that belong there. */
import type { Log } from '../admin/log.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import type { TokenReviewer } from '../identity/proof.ts';
import { DirectorySource } from '../sources/directory/directory-source.ts';
import { ClustersSource } from '../sources/clusters/clusters-source.ts';
import type { ObjectSource } from '../sources/source.ts';
import { KubernetesApi } from '../kubernetes/api.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { connectCluster } from '../kubernetes/config.ts';
import { HttpTransport } from '../kubernetes/http-transport.ts';
import { inClusterAccess } from '../kubernetes/in-cluster.ts';
import type { Transport } from '../kubernetes/transport.ts';
import { Clusters } from './clusters.ts';
import type { ConfigPlace, Instance } from './options.ts';

/** The API server whose objects are read, for those who also write or ask something of their own. */
export interface ClusterAccess {
  readonly transport: Transport;
  readonly api: KubernetesApi;
}

export interface OpenSource {
  readonly source: ObjectSource;
  /** Absent: the key of the state folder signs tokens. */
  readonly reviewers?: readonly TokenReviewer[];
  /** Absent for a folder. */
  readonly cluster?: ClusterAccess;
  readonly clusters: Clusters;
  /** For the log: folder or server. */
  readonly place: string;
}

/** Rejects where there is no access to a cluster. `meshConfig`: from a file, in place of the cluster's. */
export async function openSource(
  place: ConfigPlace,
  instance: Instance,
  remoteTimeoutMs: number,
  meshConfig: MeshConfig | undefined,
  log: Log,
): Promise<OpenSource> {
  const logger = log.scope('source');
  const id = instance.clusterId;
  if (place.type === 'folder')
    return { source: new DirectorySource({ dir: place.dir, logger }), clusters: new Clusters({ id }), place: place.dir };
  const { server, transport } = await connect(place);
  const source = new ClustersSource({
    local: {
      transport,
      rootNamespace: instance.namespace,
      revision: instance.revision,
      logger,
      ...(meshConfig !== undefined && { discoverySelectors: meshConfig.discoverySelectors ?? [] }),
    },
    clusterId: id,
    remoteTimeoutMs,
    wallClock: Date.now,
  });
  const clusters = new Clusters({ id, source, transport });
  const reviewer = clusters.reviewer();
  return {
    source,
    ...(reviewer !== undefined && { reviewers: [reviewer] }),
    cluster: { transport, api: new KubernetesApi({ transport }) },
    clusters,
    place: server,
  };
}

async function connect(
  place: Exclude<ConfigPlace, { type: 'folder' }>,
): Promise<{ readonly server: string; readonly transport: Transport }> {
  if (place.type === 'in-cluster') {
    const { server, credentials } = inClusterAccess({ host: place.host, port: place.port, clock: systemClock });
    // The first read tells whether there is access at all.
    await credentials();
    return { server, transport: new HttpTransport({ server, credentials }) };
  }
  return connectCluster(place);
}
