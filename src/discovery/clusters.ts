/** What the daemon makes of several clusters: whose token is whose, from where a proxy sees the mesh, and what is shown of them. */
import type { ClusterView } from '../admin/clusterz.ts';
import type { Metrics } from '../admin/metrics.ts';
import { clusterMetrics } from '../admin/metrics/clusters.ts';
import { checkClusterClaim } from '../identity/binding.ts';
import { ClusterTokenReviewer } from '../identity/cluster-reviewer.ts';
import type { TokenReviewer } from '../identity/proof.ts';
import { KubernetesTokenReviewer } from '../identity/tokenreview.ts';
import { createTokenReview } from '../kubernetes/token-review.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { ClustersSource } from '../sources/clusters/clusters-source.ts';
import type { Caller, ClaimedNode } from '../xds/source.ts';

/** A review of a token that takes longer is of no use to the stream that waits for it. */
const reviewLimitMs = 10_000;

type Source = Pick<ClustersSource, 'listen' | 'clusters' | 'transportOf' | 'isVerified' | 'waitingFor'>;

export interface ClustersOptions {
  /** Of the cluster whose configuration is read. */
  readonly id: string;
  /** Absent where all objects come from a folder. */
  readonly source?: Source;
  readonly transport?: Transport;
}

export class Clusters {
  readonly id: string;
  private readonly source: Source | undefined;
  private readonly transport: Transport | undefined;
  /** Remote clusters whose objects are known. */
  private loaded: ReadonlySet<string> = new Set();
  private readonly reviewers = new Map<string, TokenReviewer>();

  constructor({ id, source, transport }: ClustersOptions) {
    this.id = id;
    this.source = source;
    this.transport = transport;
  }

  /** `changed`: proxies of these clusters see the mesh from there from now on, those of others no longer. */
  follow(changed: (ids: ReadonlySet<string>) => void, metrics: Pick<Metrics, 'make' | 'stale' | 'forgetCluster'>): void {
    const { timedOut, secret } = clusterMetrics(metrics.make, () => ({ local: this.id, remote: this.source?.clusters() ?? [] }));
    this.source?.listen({
      clusters: (ids) => {
        this.loaded = ids;
        changed(ids);
      },
      timedOut,
      secret,
      stale: (id, collections) => metrics.stale(id, collections),
      removed: (id) => {
        this.reviewers.delete(id);
        metrics.forgetCluster(id);
      },
    });
  }

  /** Undefined where no API server knows the tokens. */
  reviewer(): TokenReviewer | undefined {
    const { id, transport } = this;
    if (transport === undefined) return undefined;
    return new ClusterTokenReviewer({
      local: { id, reviewer: reviewerBy(() => transport) },
      remote: (remote) => this.remoteReviewer(remote),
    });
  }

  /** The remote cluster from which a proxy sees the mesh: the one that has proven its identity, else the one that it names. */
  clusterOf({ metadata }: ClaimedNode, { identity }: Caller): string | undefined {
    const id = identity?.cluster ?? metadata['CLUSTER_ID'];
    return typeof id === 'string' && this.loaded.has(id) ? id : undefined;
  }

  /** Why the caller may not be in the cluster that the node claims. */
  refusal(node: ClaimedNode, { identity }: Caller): string | undefined {
    if (identity === undefined) return undefined;
    return checkClusterClaim(identity, node, (id) => id === this.id || this.loaded.has(id))?.refused;
  }

  view(mesh: Mesh): ClusterView[] {
    const endpoints = new Map<string, number>();
    for (const key of mesh.endpoints.keysNow()) {
      for (const { cluster } of mesh.endpoints.peek(key)?.endpoints ?? []) endpoints.set(cluster, (endpoints.get(cluster) ?? 0) + 1);
    }
    const waiting = this.source?.waitingFor() ?? [];
    const local: ClusterView = {
      id: this.id,
      secretName: '',
      syncStatus: waiting.length === 0 ? 'synced' : 'syncing',
      endpoints: endpoints.get(this.id) ?? 0,
    };
    const remotes = (this.source?.clusters() ?? []).map(({ id, secret, syncStatus, server, since, fault }): ClusterView => ({
      id,
      secretName: secret,
      syncStatus,
      server,
      since: new Date(since).toISOString(),
      ...(fault !== undefined && { fault }),
      endpoints: endpoints.get(id) ?? 0,
    }));
    return [local, ...remotes];
  }

  private remoteReviewer(id: string): TokenReviewer | undefined {
    const known = this.reviewers.get(id);
    if (known !== undefined) return known;
    if (this.source?.transportOf(id) === undefined) return undefined;
    const reviewer = reviewerBy(() => {
      if (this.source?.isVerified(id) === false) {
        throw new Error(
          `it is not verified that the API server of cluster ${id} is the right one: give https and certificate-authority-data in its kubeconfig`,
        );
      }
      return this.source?.transportOf(id);
    });
    this.reviewers.set(id, reviewer);
    return reviewer;
  }
}

/** `transport` is asked for each review: a new credential counts from then on. */
function reviewerBy(transport: () => Transport | undefined): TokenReviewer {
  return new KubernetesTokenReviewer({
    ask: async (token, audiences) => {
      const to = transport();
      if (to === undefined) throw new Error('the cluster is not known any more');
      return createTokenReview(to, token, audiences, AbortSignal.timeout(reviewLimitMs));
    },
    now: Date.now,
  });
}
