import { describe, expect, it } from 'vitest';
import { checkNodeClaim } from './binding.ts';

const proven = {
  spiffeId: 'spiffe://cluster.local/ns/shop/sa/reviews',
  trustDomain: 'cluster.local',
  namespace: 'shop',
  serviceAccount: 'reviews',
};
const id = 'sidecar~10.0.0.1~reviews-1.v2.shop~shop.svc.cluster.local';

describe('what a node claims', () => {
  it('fits what is proven', () => {
    expect(checkNodeClaim(proven, { id, metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'reviews' } })).toBeUndefined();
    expect(checkNodeClaim(proven, { id, metadata: {} })).toBeUndefined();
    expect(checkNodeClaim(proven, { id, metadata: { NAMESPACE: '', SERVICE_ACCOUNT: '' } })).toBeUndefined();
  });

  it('names the pod that the token is bound to', () => {
    expect(checkNodeClaim({ ...proven, pod: 'reviews-1.v2' }, { id, metadata: {} })).toBeUndefined();
    expect(checkNodeClaim({ ...proven, pod: 'reviews-2' }, { id, metadata: {} })).toEqual({
      reason: 'claim',
      refused: `proven spiffe://cluster.local/ns/shop/sa/reviews in pod "reviews-2", but node "${id}" claims pod "reviews-1.v2"`,
    });
  });

  it.each([
    ['metadata NAMESPACE', { id, metadata: { NAMESPACE: 'bank' } }, '"bank"'],
    ['metadata SERVICE_ACCOUNT', { id, metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'admin' } }, '"admin"'],
    ['metadata NAMESPACE', { id, metadata: { NAMESPACE: ['shop'] } }, '["shop"]'],
    [
      'namespace of the node id',
      { id: 'sidecar~10.0.0.1~reviews-1.bank~bank.svc.cluster.local', metadata: { NAMESPACE: 'shop' } },
      '"bank"',
    ],
  ])('is refused for another %s, naming both', (what, node, claimed) => {
    const refused = checkNodeClaim(proven, node);
    expect(refused?.reason).toBe('claim');
    expect(refused?.refused).toBe(`proven ${proven.spiffeId}, but ${what} of node ${JSON.stringify(node.id)} claims ${claimed}`);
  });

  it.each(['', 'sidecar', 'sidecar~10.0.0.1~reviews~x', 'sidecar~10.0.0.1~.shop~x', 'sidecar~10.0.0.1~reviews.~x', 'a~b~c.shop~d~e'])(
    'is refused when its id is %j',
    (bad) => {
      expect(checkNodeClaim(proven, { id: bad, metadata: { NAMESPACE: 'shop' } })?.reason).toBe('malformed');
    },
  );

  it('goes to the log short and on one line', () => {
    const refused = checkNodeClaim(proven, { id, metadata: { NAMESPACE: `\n${'x'.repeat(100_000)}` } });
    expect(refused?.refused.length).toBeLessThan(500);
    expect(refused?.refused).not.toContain('\n');
  });
});
