import { describe, expect, it } from 'vitest';
import { formatSpiffeId, parseSpiffeId } from './spiffe.ts';

describe('SPIFFE ids', () => {
  it('are read and written in one form', () => {
    const id = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews.v1' };
    expect(parseSpiffeId('spiffe://cluster.local/ns/shop/sa/reviews.v1')).toEqual(id);
    expect(formatSpiffeId(id)).toBe('spiffe://cluster.local/ns/shop/sa/reviews.v1');
  });

  it.each([
    'spiffe://cluster.local/ns/shop/sa/reviews/',
    'spiffe://cluster.local/ns/shop/sa/reviews?x=1',
    'spiffe://cluster.local/ns/shop/sa/reviews#x',
    'spiffe://cluster.local/ns/shop/sa/',
    'spiffe://cluster.local/ns//sa/reviews',
    'spiffe://cluster.local//ns/shop/sa/reviews',
    'spiffe:///ns/shop/sa/reviews',
    'spiffe://cluster.local:80/ns/shop/sa/reviews',
    'spiffe://user@cluster.local/ns/shop/sa/reviews',
    'spiffe://Cluster.local/ns/shop/sa/reviews',
    'SPIFFE://cluster.local/ns/shop/sa/reviews',
    'spiffe://cluster.local/ns/shop.x/sa/reviews',
    'spiffe://cluster.local/ns/shop/sa/%72eviews',
    'spiffe://cluster.local/ns/shop/sa/..',
    'spiffe://cluster.local/ns/shop/sa/reviews\n',
    ' spiffe://cluster.local/ns/shop/sa/reviews',
    'spiffe://cluster.local/ns/shop/sa/reviews, DNS:x',
    `spiffe://cluster.local/ns/${'a'.repeat(64)}/sa/reviews`,
    `spiffe://cluster.local/ns/shop/sa/${'a'.repeat(3000)}`,
    '',
  ])('refuses %j', (text) => {
    expect(parseSpiffeId(text)).toBeUndefined();
  });

  it('never writes an id that reads as another', () => {
    const id = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'x/../../ns/kube-system/sa/admin' };
    expect(() => formatSpiffeId(id)).toThrow(/service account .* is not a DNS subdomain/);
    expect(() => formatSpiffeId({ ...id, serviceAccount: 'x', namespace: 'a/b' })).toThrow(/namespace "a\/b"/);
    expect(() => formatSpiffeId({ ...id, serviceAccount: 'x', trustDomain: '' })).toThrow(/trust domain ""/);
  });
});
