import { expect, test } from 'vitest';
import { typeOf, World } from './testing/harness.ts';

function aging(random: () => number): World {
  const world = new World(undefined, { limits: { maxAgeMs: 1_000_000 }, random });
  world.source.part('out').set(typeOf('CDS'), 'c1', '1');
  world.source.part('in').set(typeOf('LDS'), 'l', '1');
  world.flush();
  return world;
}

test('an old stream is ended, a tenth sooner or later by chance', () => {
  const chances = [0, 0.5, 0.999];
  const world = aging(() => chances.shift() ?? 0);
  const clients = [world.delta(), world.delta(), world.sotw()];
  for (const client of clients) {
    client.send('CDS');
    client.settle();
  }
  const ended = (): boolean[] => clients.map(({ wire }) => wire.ended !== undefined);
  world.pass(899_000);
  expect(ended()).toEqual([false, false, false]);
  world.pass(2_000);
  expect(ended()).toEqual([true, false, false]);
  world.pass(100_000);
  expect(ended()).toEqual([true, true, false]);
  world.pass(100_000);
  expect(ended()).toEqual([true, true, true]);
  expect(clients[0]?.wire.ended).toMatchObject({ code: 'UNAVAILABLE', details: expect.stringContaining('901 s old') as string });
});

test('one of which an answer is due is left until it has come, for a minute', () => {
  const world = aging(() => 0.5);
  const [patient, never] = [world.delta(), world.delta()];
  for (const client of [patient, never]) {
    client.send('CDS');
    client.settle();
  }
  world.pass(990_000);
  world.source.part('out').set(typeOf('CDS'), 'c1', '2');
  world.flush();
  expect([patient.stream.quiet, never.stream.quiet]).toEqual([false, false]);
  world.pass(15_000);
  expect([patient.wire.ended, never.wire.ended]).toEqual([undefined, undefined]);
  patient.settle();
  expect(patient.stream.quiet).toBe(true);
  world.pass(1_000);
  expect(patient.wire.ended?.code).toBe('UNAVAILABLE');
  expect(never.wire.ended).toBeUndefined();
  world.pass(60_000);
  expect(never.wire.ended?.code).toBe('UNAVAILABLE');
});
