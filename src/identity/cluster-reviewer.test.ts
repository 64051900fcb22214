import { describe, expect, it } from 'vitest';
import { checkClusterClaim } from './binding.ts';
import { ClusterTokenReviewer } from './cluster-reviewer.ts';
import { refusal, type TokenReviewer } from './proof.ts';

const expiresAt = new Date(0);

/** Accepts the tokens of one cluster, which begin with its name. */
function reviewerOf(name: string): TokenReviewer {
  return {
    review: async (token) =>
      token.startsWith(name)
        ? { namespace: 'shop', serviceAccount: name, expiresAt }
        : refusal('signature', 'token refused by the API server'),
  };
}

const reviewer = new ClusterTokenReviewer({
  local: { id: 'home', reviewer: reviewerOf('home') },
  remote: (id) => (id === 'east' ? reviewerOf('east') : undefined),
});

describe('whose token it is', () => {
  it.each([
    ['home-token', undefined, 'home'],
    ['home-token', 'home', 'home'],
    ['home-token', 'nowhere', 'home'],
    ['east-token', 'east', 'east'],
  ])('%s, said to be of %s, is proven by %s', async (token, said, cluster) => {
    expect(await reviewer.review(token, said)).toEqual({ namespace: 'shop', serviceAccount: cluster, expiresAt, cluster });
  });

  it.each([
    ['east-token', undefined, 'token refused by the API server, by cluster home'],
    ['home-token', 'east', 'token refused by the API server, by cluster east'],
    ['east-token', 'west', 'token refused by the API server, by cluster home (the caller says that it is of "west", which is not known)'],
  ])('%s, said to be of %s, is refused', async (token, said, refused) => {
    expect(await reviewer.review(token, said)).toEqual({ reason: 'signature', refused });
  });
});

describe('the cluster that a node claims', () => {
  const claim = (cluster: string | undefined, claimed: unknown): string | undefined =>
    checkClusterClaim(
      { spiffeId: 'spiffe://cluster.local/ns/shop/sa/a', ...(cluster !== undefined && { cluster }) },
      { id: 'sidecar~10.0.0.1~a.shop~x', metadata: { CLUSTER_ID: claimed } },
      (id) => id === 'home' || id === 'east',
    )?.refused;

  it('must be the one that has proven it, where it is known', () => {
    expect(claim('east', 'east')).toBeUndefined();
    expect(claim('home', undefined)).toBeUndefined();
    expect(claim('home', 'Kubernetes')).toBeUndefined();
    expect(claim(undefined, 'east')).toBeUndefined();
    expect(claim('home', 'east')).toBe(
      'proven spiffe://cluster.local/ns/shop/sa/a by cluster "home", but metadata CLUSTER_ID of node "sidecar~10.0.0.1~a.shop~x" claims "east"',
    );
    expect(claim('east', 'home')).toContain('claims "home"');
  });
});
