import { expect, test } from 'vitest';
import { fakeStream } from '../admin/testing/stream.ts';
import { objectKey, type ObjectKey } from '../apis/object.ts';
import { virtualHostType } from '../wire/types.ts';
import type { StreamStatus } from '../xds/source.ts';
import { NackProblems } from './rejections.ts';

const virtualService = objectKey('VirtualService', 'shop', 'reviews');
const rule = objectKey('DestinationRule', 'shop', 'reviews');
const service = objectKey('Service', 'shop', 'reviews');

/** All resources are made from the three objects. */
function stream(name: string): StreamStatus {
  const fake = fakeStream(name);
  const objects = [rule, service, `${virtualService} (reviews.yaml:3)`];
  return { ...fake, subscription: { ...fake.subscription, explain: () => ({ part: 'outbound', objects }) } };
}

function problems(changedLast: ObjectKey | undefined) {
  const told: ObjectKey[][] = [];
  const nacks = new NackProblems({ changedLast: () => changedLast, onChange: (objects) => told.push([...objects]) });
  return { nacks, told };
}

test('the object that changed last is the suspect, and the others are named', () => {
  const { nacks, told } = problems(virtualService);
  nacks.rejected(stream('a'), virtualHostType, ['80/reviews:80'], 'bad regex');
  expect(nacks.problems()).toEqual([
    {
      object: virtualService,
      path: '',
      reason: 'Refused',
      severity: 'error',
      message:
        'proxy sidecar~10.0.0.1~a.shop~shop.svc.cluster.local refused VHDS 80/reviews:80, most likely because of this object; ' +
        'also made from DestinationRule/shop/reviews, Service/shop/reviews: bad regex',
      toReaders:
        'proxy a.shop refused VHDS 80/reviews:80, most likely because of this object; ' +
        "also made from DestinationRule/shop/reviews and Service/shop/reviews: bad regex; see mizzen's log or /debug/problems",
    },
  ]);
  expect(told).toEqual([[virtualService]]);
});

test('readers of an object are told nothing of other namespaces', () => {
  const mine = objectKey('VirtualService', 'front', 'all');
  const fake = fakeStream('a');
  const objects = ['DestinationRule/shop/reviews (rule.yaml:1)', 'Service/shop/reviews', 'Sidecar/front/default', mine];
  const { nacks } = problems(mine);
  const refusing = { ...fake, subscription: { ...fake.subscription, explain: () => ({ part: 'outbound', objects }) } };
  nacks.rejected(refusing, virtualHostType, ['80/*'], "Duplicate entry of domain reviews.shop.svc in 'shop-table'");
  const [problem] = nacks.problems();
  expect(problem?.toReaders).toBe(
    'a proxy of another namespace refused VHDS 80/*, most likely because of this object; also made from Sidecar/front/default and ' +
      "2 objects of other namespaces: Duplicate entry of domain ... in ...; see mizzen's log or /debug/problems",
  );
  expect(problem?.message).toContain('reviews.shop.svc');
});

test('where nothing has changed lately those that configure traffic are blamed', () => {
  const { nacks } = problems(undefined);
  nacks.rejected(stream('a'), virtualHostType, ['80/reviews:80'], 'bad regex');
  expect(nacks.problems().map(({ object }) => object)).toEqual([rule, virtualService]);
});

test('a problem ends when the proxy accepts, or goes', () => {
  const { nacks, told } = problems(virtualService);
  const [a, b] = [stream('a'), stream('b')];
  nacks.rejected(a, virtualHostType, ['x'], 'bad');
  nacks.rejected(b, virtualHostType, ['x'], 'bad');
  expect(nacks.problems()).toHaveLength(2);
  nacks.acked(a, virtualHostType);
  expect(nacks.problems()).toHaveLength(1);
  nacks.acked(a, virtualHostType);
  nacks.disconnected(b);
  expect(nacks.problems()).toEqual([]);
  expect(told).toHaveLength(4);
});

test('messages are bounded', () => {
  const { nacks } = problems(virtualService);
  nacks.rejected(stream('a'), virtualHostType, ['x'], 'e'.repeat(100_000));
  expect(nacks.problems()[0]?.message.length).toBeLessThan(3_000);
});
