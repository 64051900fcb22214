/** Asks the API server of the cluster that a token is of. The caller says which one that is; the answer, and nothing else, proves it. */
import { isRefusal, refusal, type Refusal, type ReviewedToken, type TokenReviewer } from './proof.ts';

export interface ClusterReviewerOptions {
  /** Of the cluster whose configuration is read: asked for callers that name no cluster, or one that is not known. */
  readonly local: { readonly id: string; readonly reviewer: TokenReviewer };
  /** Undefined for an id that is not known. */
  readonly remote: (id: string) => TokenReviewer | undefined;
}

export class ClusterTokenReviewer implements TokenReviewer {
  readonly #options: ClusterReviewerOptions;

  constructor(options: ClusterReviewerOptions) {
    this.#options = options;
  }

  async review(token: string, cluster?: string): Promise<ReviewedToken | Refusal> {
    const { local, remote } = this.#options;
    const named = cluster === undefined || cluster === local.id ? undefined : remote(cluster);
    const asked = named === undefined ? local.id : (cluster ?? local.id);
    const reviewed = await (named ?? local.reviewer).review(token);
    if (!isRefusal(reviewed)) return { ...reviewed, cluster: asked };
    const unknown =
      cluster !== undefined && asked !== cluster ? ` (the caller says that it is of ${JSON.stringify(cluster)}, which is not known)` : '';
    return refusal(reviewed.reason, `${reviewed.refused}, by cluster ${asked}${unknown}`);
  }
}
