import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { typeOf, World, type DeltaClient, type SotwClient } from './testing/harness.ts';

const NDS = typeOf('NDS');
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);

/** The content of the last response; resources of such a type have no name. */
function lastDelta({ wire }: DeltaClient): string {
  const { resources } = fromBinary(DeltaDiscoveryResponseSchema, wire.written.at(-1) ?? new Uint8Array());
  return resources.map(({ name, resource }) => `${name}:${text(resource?.value)}`).join('|');
}

function lastSotw({ wire }: SotwClient): string {
  const { resources } = fromBinary(DiscoveryResponseSchema, wire.written.at(-1) ?? new Uint8Array());
  return resources.map(({ typeUrl, value }) => `${typeUrl === NDS}:${text(value)}`).join('|');
}

function world(): World {
  const w = new World();
  w.source.part('public').set(NDS, 'a', '<a1>').set(NDS, 'b', '<b1>');
  w.source.part('namespace').set(NDS, 'c', '<c1>');
  w.flush();
  return w;
}

test('one resource without a name holds the entries of all parts, lower parts first', () => {
  const w = world();
  const client = w.delta();
  client.send('NDS');
  expect([client.settle().length, lastDelta(client)]).toEqual([1, ':<a1><b1><c1>']);
  expect(client.stream.types.get(NDS)).toMatchObject({ state: 'SYNCED', subscribed: '*' });
  const sotw = w.sotw();
  sotw.send('NDS');
  expect([sotw.settle().length, lastSotw(sotw)]).toEqual([1, 'true:<a1><b1><c1>']);
  expect(sotw.stream.types.get(NDS)).toMatchObject({ state: 'SYNCED', subscribed: '*' });
});

test('a change of one entry sends the whole once, to those who asked', () => {
  const w = world();
  const [client, sotw, other] = [w.delta(), w.sotw(), w.delta()];
  client.send('NDS');
  sotw.send('NDS');
  client.settle();
  sotw.settle();
  w.source.part('public').set(NDS, 'b', '<b2>');
  w.flush();
  expect([client.settle().length, lastDelta(client)]).toEqual([1, ':<a1><b2><c1>']);
  expect([sotw.settle().length, lastSotw(sotw)]).toEqual([1, 'true:<a1><b2><c1>']);
  w.source.part('namespace').remove(NDS, 'c');
  w.flush();
  expect([client.settle().length, lastDelta(client)]).toEqual([1, ':<a1><b2>']);
  w.pass(10_000);
  expect([client.got(), sotw.settle().length, other.got()]).toEqual([[], 1, []]);
});

test('an entry of a higher part comes after that which it covers, and one that is withheld does not come', () => {
  const w = world();
  const client = w.delta();
  w.source.part('namespace').set(NDS, 'a', '<a9>');
  w.flush();
  client.send('NDS');
  client.settle();
  // A map takes the last of two entries with one key.
  expect(lastDelta(client)).toBe(':<a1><b1><c1><a9>');
  w.source.part('namespace').hide(NDS, 'b');
  w.flush();
  client.settle();
  expect(lastDelta(client)).toBe(':<c1><a9>');
  w.source.part('public').set(NDS, 'd', '<d1>');
  w.flush();
  client.settle();
  expect(lastDelta(client)).toBe(':<c1><a9><d1>');
});

test('another list of parts sends what differs', () => {
  const w = world();
  const client = w.delta();
  client.send('NDS');
  client.settle();
  const [subscription] = w.source.subscriptions;
  subscription?.changeParts([w.source.part('public')]);
  w.turn();
  expect([client.settle().length, lastDelta(client)]).toEqual([1, ':<a1><b1>']);
});

test('an empty table is sent, but nothing where there is none: the agent acknowledges no empty response', () => {
  const w = world();
  w.source.part('public').remove(NDS, 'a').remove(NDS, 'b');
  w.source.part('namespace').remove(NDS, 'c');
  w.flush();
  const client = w.delta();
  client.send('NDS');
  client.send('PCDS');
  expect([client.settle().length, lastDelta(client)]).toEqual([1, ':']);
  expect(client.stream.types.get(typeOf('PCDS'))?.state).toBe('SYNCED');
  const bare = new World();
  const [delta, sotw] = [bare.delta(), bare.sotw()];
  for (const type of ['NDS', 'PCDS']) {
    delta.send(type);
    sotw.send(type);
  }
  bare.pass(60_000);
  expect([delta.got(), sotw.got()]).toEqual([[], []]);
});

test('a refused table is reported, not sent again, and the next one clears it', () => {
  const w = world();
  const client = w.delta();
  client.send('NDS');
  client.got();
  client.nack('NDS', 'unreadable');
  w.pass(60_000);
  expect(client.got()).toEqual([]);
  expect(client.stream.types.get(NDS)).toMatchObject({ state: 'ERROR', lastError: 'unreadable' });
  expect(w.observer.events.at(-1)).toBe('rejected NDS  unreadable');
  w.source.part('public').set(NDS, 'b', '<b2>');
  w.flush();
  expect([client.settle().length, client.stream.types.get(NDS)?.state]).toEqual([1, 'SYNCED']);
});

test('a request of health is no subscription and is not answered', () => {
  const w = world();
  const [delta, sotw] = [w.delta(), w.sotw()];
  delta.send('HDS', { error: 'probe failed' });
  sotw.send('HDS', [], '', 'probe failed');
  w.pass(60_000);
  expect([delta.got(), sotw.got(), delta.stream.types.size, sotw.stream.types.size]).toEqual([[], [], 0, 0]);
});
