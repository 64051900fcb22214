import { expect, test } from 'vitest';
import { conditionsOf } from './conditions.ts';
import { objectKey } from '../../apis/object.ts';
import type { ObjectFacts } from './facts.ts';

const reviews = objectKey('VirtualService', 'shop', 'reviews');

const fine: ObjectFacts = {
  exists: true,
  generation: 3,
  problems: [],
  proxies: { total: 12, acked: 12 },
  lagging: [],
  behind: [],
  converged: true,
};
const proxy = (name: string): string => `sidecar~10.0.0.1~${name}.shop~shop.svc.cluster.local`;

test('all proxies have it', () => {
  expect(conditionsOf(reviews, fine)).toEqual([
    { type: 'Reconciled', status: 'True', reason: 'Reconciled', message: 'translated', observedGeneration: 3 },
    { type: 'Programmed', status: 'True', reason: 'Programmed', message: '12 of 12 proxies', observedGeneration: 3 },
  ]);
});

test('no proxy is connected that should have it', () => {
  expect(conditionsOf(reviews, { ...fine, proxies: { total: 0, acked: 0 } })[1]).toMatchObject({ status: 'True', reason: 'NoProxies' });
});

test('errors with their paths, at most five of them', () => {
  const problems = Array.from({ length: 7 }, (_, i) => ({
    path: `spec.http[${i}]`,
    reason: 'Invalid' as const,
    severity: 'error' as const,
    message: 'is wrong',
  }));
  const [reconciled, programmed] = conditionsOf(reviews, { ...fine, problems });
  expect(reconciled).toMatchObject({ status: 'False', reason: 'Invalid' });
  expect(reconciled?.message).toBe(
    'spec.http[0]: is wrong; spec.http[1]: is wrong; spec.http[2]: is wrong; spec.http[3]: is wrong; spec.http[4]: is wrong; and 2 more',
  );
  expect(programmed).toMatchObject({ status: 'False', reason: 'NotReconciled' });
});

test('warnings are in the message of an object that is translated', () => {
  const problems = [{ path: 'spec.tcp', reason: 'NotTranslated', severity: 'warning', message: 'is not translated yet' }] as const;
  const [reconciled, programmed] = conditionsOf(reviews, { ...fine, problems });
  expect(reconciled).toMatchObject({ status: 'True', message: 'translated, with warnings: spec.tcp: is not translated yet' });
  expect(programmed).toMatchObject({ status: 'True' });
});

test('a kind that is not read has one condition', () => {
  const problems = [{ path: '', reason: 'NotTranslated', severity: 'warning', message: 'kind Telemetry is not read' }] as const;
  expect(conditionsOf(reviews, { ...fine, problems })).toEqual([
    { type: 'Reconciled', status: 'False', reason: 'NotTranslated', message: 'kind Telemetry is not read', observedGeneration: 3 },
  ]);
});

test('proxies that refuse it are named before those that lag, with what they said', () => {
  const facts: ObjectFacts = {
    ...fine,
    proxies: { total: 12, acked: 10 },
    converged: false,
    lagging: [
      { proxy: proxy('b'), state: 'rejected', error: 'unknown cluster' },
      { proxy: proxy('a'), state: 'pending' },
    ],
    problems: [{ path: '', reason: 'Refused', severity: 'error', message: 'proxy b refused LDS x: unknown cluster' }],
  };
  expect(conditionsOf(reviews, facts)).toMatchObject([
    { type: 'Reconciled', status: 'True' },
    {
      type: 'Programmed',
      status: 'False',
      reason: 'Refused',
      message: '10 of 12 proxies; refused by b.shop; proxy b refused LDS x: unknown cluster',
    },
  ]);
  expect(conditionsOf(reviews, { ...facts, problems: [], lagging: facts.lagging.slice(1) })[1]).toMatchObject({
    reason: 'Pending',
    message: '10 of 12 proxies; waiting for a.shop',
  });
});

test('a replica that has not seen it is counted', () => {
  expect(conditionsOf(reviews, { ...fine, converged: false, behind: ['mizzen-1'] })[1]).toMatchObject({
    status: 'False',
    reason: 'Pending',
    message: "12 of 12 proxies; not seen yet by 1 of mizzen's replicas",
  });
});

test('messages are bounded', () => {
  const problems = [{ path: '', reason: 'Invalid', severity: 'error', message: 'x'.repeat(5_000) }] as const;
  for (const { message } of conditionsOf(reviews, { ...fine, problems })) expect(message.length).toBeLessThanOrEqual(1024);
});

test('proxies and objects of other namespaces are counted', () => {
  const lagging = [proxy('a'), proxy('b'), 'router~10.0.0.1~gateway.ingress~ingress.svc.cluster.local'].map((id) => ({
    proxy: id,
    state: 'pending' as const,
  }));
  const problems = [
    { path: 'spec.hosts[0]', reason: 'Conflict', severity: 'warning', message: 'VirtualService/bank/vault is older and has this host too' },
  ] as const;
  expect(conditionsOf(reviews, { ...fine, converged: false, lagging, problems }).map(({ message }) => message)).toEqual([
    'translated, with warnings: spec.hosts[0]: a VirtualService of another namespace is older and has this host too',
    '12 of 12 proxies; waiting for a.shop, b.shop and 1 of other namespaces',
  ]);
});

test('of what a proxy says in its refusal the reason is told', () => {
  const lagging = [{ proxy: proxy('a'), state: 'rejected', error: "Duplicate entry of domain vault.bank in 'x'" }] as const;
  expect(conditionsOf(reviews, { ...fine, converged: false, lagging })[1]?.message).toBe(
    '12 of 12 proxies; refused by a.shop; Duplicate entry of domain ... in ...',
  );
});
