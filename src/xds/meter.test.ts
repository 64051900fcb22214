import { expect, test } from 'vitest';
import { shortName } from '../wire/types.ts';
import type { StreamMeter } from './meter.ts';
import { FakeSource } from './testing/fake-source.ts';
import { typeOf, World } from './testing/harness.ts';

function measured(): { world: World; events: string[]; faults: unknown[] } {
  const events: string[] = [];
  const faults: unknown[] = [];
  const note = (what: string, type: string, ms?: number): void =>
    void events.push(`${what} ${shortName(type)}${ms === undefined ? '' : ` ${ms}`}`);
  const meter: StreamMeter = {
    built: (type, ms) => note('built', type, ms),
    taken: (type, ms) => note('taken', type, ms),
    stalled: (type) => note('stalled', type),
    nonceExpired: (type) => note('expired', type),
    faulted: () => void events.push('faulted'),
  };
  const world = new World(new FakeSource(), { meter, onFault: (error) => faults.push(error) });
  world.source.part('out').set(typeOf('CDS'), 'a', '1').set(typeOf('LDS'), 'l', '1');
  world.flush();
  return { world, events, faults };
}

test('each response is measured when it is handed over and when the network takes it', () => {
  const { world, events } = measured();
  const client = world.delta();
  client.wire.slow = true;
  client.send('CDS');
  expect(events).toEqual(['built CDS 0']);
  world.nowMs += 30;
  client.wire.flush();
  expect(events).toEqual(['built CDS 0', 'taken CDS 30']);
});

test('a stream that reads nothing is told with the type that is stuck first', () => {
  const { world, events } = measured();
  const client = world.delta();
  client.wire.slow = true;
  client.send('CDS');
  client.send('LDS');
  world.pass(61_000);
  expect(client.wire.ended?.code).toBe('RESOURCE_EXHAUSTED');
  expect(events).toEqual(['built CDS 0', 'built LDS 0', 'stalled CDS']);
});

test.each(['delta', 'sotw'] as const)(
  '%s: an answer to a response that is not known is told, a request without a nonce is not',
  (protocol) => {
    const { world, events } = measured();
    const client = world[protocol]();
    client.send('CDS');
    if ('nonceOf' in client) client.send('CDS', [], 'unknown');
    else client.send('CDS', { nonce: 'unknown' });
    client.send('CDS');
    expect(events.filter((event) => event.startsWith('expired'))).toEqual(['expired CDS']);
  },
);

test('a fault of ours is counted and told', () => {
  const { world, events, faults } = measured();
  const fault = new Error('of ours');
  world.hub.onFault(fault);
  expect(events).toEqual(['faulted']);
  expect(faults).toEqual([fault]);
});

test('parts are counted once, and as often as streams read them', () => {
  const { world } = measured();
  world.source.part('in').set(typeOf('LDS'), 'virtualInbound', '1');
  world.flush();
  const first = world.delta();
  world.delta();
  expect(world.hub.sharing).toEqual({ parts: 2, follows: 4 });
  first.stream.disconnected('gone');
  expect(world.hub.sharing).toEqual({ parts: 2, follows: 2 });
  expect(world.hub.waiting).toBe(0);
});
