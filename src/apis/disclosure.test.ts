import { expect, test } from 'vitest';
import { objectsFor, proxyFor, reasonOf, textFor } from './disclosure.ts';

test('objects of the own namespace are named, those of others counted', () => {
  expect(objectsFor('shop', ['Service/shop/reviews', 'DestinationRule/shop/reviews (rev)'], 5)).toBe(
    'Service/shop/reviews and DestinationRule/shop/reviews (rev)',
  );
  expect(objectsFor('shop', ['Service/bank/vault', 'Service/shop/reviews', 'ConfigMap/istio-system/istio'], 5)).toBe(
    'Service/shop/reviews and 2 objects of other namespaces',
  );
  expect(objectsFor('shop', ['Service/bank/vault'], 5)).toBe('1 object of other namespaces');
  expect(objectsFor('shop', ['Service/shop/a', 'Service/shop/b', 'Service/shop/c', 'Service/shop-2/d'], 2)).toBe(
    'Service/shop/a, Service/shop/b, 1 more and 1 object of other namespaces',
  );
  expect(objectsFor('', ['Node//n'], 2)).toBe('1 object of other namespaces');
});

test('a proxy has a name for its own namespace alone', () => {
  expect(proxyFor('shop', 'sidecar~10.0.0.1~a.b.shop~shop.svc.cluster.local')).toBe('a.b.shop');
  for (const of of ['bank', 'op', 'b.shop.x', '']) expect(proxyFor(of, 'sidecar~10.0.0.1~a.b.shop~shop.svc')).toBeUndefined();
  expect(proxyFor('shop', 'nonsense')).toBeUndefined();
});

test('keys of objects of other namespaces are taken out of a text', () => {
  expect(textFor('shop', 'VirtualService/bank/vault is older, AuthorizationPolicy/bank/a.b too; merge VirtualService/shop/reviews')).toBe(
    'a VirtualService of another namespace is older, an AuthorizationPolicy of another namespace too; merge VirtualService/shop/reviews',
  );
  expect(textFor('shop', 'Service/shop2/a@east, path Foo/bar/baz and /etc/ssl/x')).toBe(
    'a Service of another namespace, path Foo/bar/baz and /etc/ssl/x',
  );
});

test.each([
  ['bad repetition operator: {1001}', 'bad repetition operator: ...'],
  ["Error adding/updating listener(s) virtualInbound: unknown cluster 'outbound|80||vault.bank'", 'unknown cluster ...'],
  [
    'Error adding/updating listener(s) 0.0.0.0_80: Only unique values for domains are permitted. Duplicate entry of domain vault.bank.svc in route 80',
    'Only unique values for domains are permitted. Duplicate entry of domain ... in route ...',
  ],
  [
    'Proto constraint validation failed (RouteValidationError.Match: embedded message failed validation): name: "vault"\nhost: "bank"',
    '(RouteValidationError.Match: embedded message failed validation): name: ...',
  ],
  [
    "Didn't find a registered implementation for 'vault.filter' with type URL: ''",
    "Didn't find a registered implementation for ... with type URL: ...",
  ],
  ['kubernetes://bank-tls 10.2.3.4 bank/vault vault.bank spiffe://a/ns/bank', 'for a reason that quotes configuration'],
  ['{"token": "secret', 'for a reason that quotes configuration'],
])('of "%s" the reason is told: %s', (error, reason) => {
  expect(reasonOf(error)).toBe(reason);
});

test('a reason is short, and takes no long time to find', () => {
  const begin = performance.now();
  for (const text of ['word '.repeat(100_000), "'".repeat(100_000), '['.repeat(100_000), 'A.'.repeat(100_000), '('.repeat(100_000)])
    expect(reasonOf(text).length).toBeLessThanOrEqual(200);
  expect(performance.now() - begin).toBeLessThan(500);
});
