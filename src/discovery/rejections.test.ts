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
    },
  ]);
  expect(told).toEqual([[virtualService]]);
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
