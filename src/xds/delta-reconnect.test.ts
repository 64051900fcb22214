import { describe, expect, test } from 'vitest';
import { typeOf, World } from './testing/harness.ts';

const CDS = typeOf('CDS');
const EDS = typeOf('EDS');
const LDS = typeOf('LDS');
const RDS = typeOf('RDS');
const VHDS = typeOf('VHDS');

/** A canary that has replaced another one while the client was away. */
function changed(): World {
  const world = new World();
  world.source
    .part('out')
    .set(CDS, 'stable', '1')
    .set(CDS, 'new', '1')
    .set(EDS, 'stable', '1')
    .set(EDS, 'new', '1')
    .set(LDS, 'l', '1')
    .set(RDS, '80', '1', { vhds: true })
    .set(VHDS, '80/shop', 'to new');
  world.flush();
  return world;
}

describe('a cluster that was replaced while the client was away', () => {
  test('the endpoints of the new one go before the routes, unasked; those of the old one stay until it goes', () => {
    const client = changed().delta();
    client.send('CDS', { claims: { stable: '1', old: '1' } });
    client.send('EDS', { sub: ['stable', 'old'], claims: { stable: '1', old: '1' } });
    client.send('LDS', { claims: { l: '1' } });
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    client.send('VHDS', { claims: { '80/shop': 'to old' } });
    expect(client.settle()).toEqual(['CDS new@1', 'EDS new@1', 'LDS', 'RDS', 'VHDS 80/shop@to new', 'CDS -old']);
    // Envoy's own request for what it already has.
    client.send('EDS', { sub: ['new'] });
    client.send('EDS', { unsub: ['old'] });
    expect(client.settle()).toEqual(['EDS new@1']);
  });

  test('likewise when all requests are there before the first answer', () => {
    const client = changed().delta();
    client.wire.slow = true;
    client.send('CDS', { claims: { stable: '1', old: '1' } });
    client.send('EDS', { sub: ['stable', 'old'], claims: { stable: '1', old: '1' } });
    client.send('LDS', { claims: { l: '1' } });
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    client.send('VHDS', { claims: { '80/shop': 'to old' } });
    client.wire.slow = false;
    client.wire.flush();
    expect(client.settle()).toEqual(['CDS new@1', 'EDS new@1', 'LDS', 'RDS', 'VHDS 80/shop@to new', 'CDS -old']);
  });

  test('routes wait for clusters that a warming Envoy has not asked for yet', () => {
    const client = changed().delta();
    client.send('EDS', { sub: ['stable', 'old'], claims: { stable: '1', old: '1' } });
    client.send('LDS', { claims: { l: '1' } });
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    client.send('VHDS', { claims: { '80/shop': 'to old' } });
    expect(client.settle()).toEqual(['EDS stable@1']);
    client.send('CDS', { claims: { stable: '1', old: '1' } });
    expect(client.settle()).toEqual(['CDS new@1', 'EDS new@1', 'LDS', 'RDS', 'VHDS 80/shop@to new', 'CDS -old']);
  });

  test('the old one stays until all routes have been compared, however late they are asked for', () => {
    const world = changed();
    const client = world.delta();
    client.send('CDS', { claims: { stable: '1', old: '1' } });
    client.send('EDS', { sub: ['stable', 'old'], claims: { stable: '1', old: '1' } });
    client.send('LDS', { claims: { l: '1' } });
    expect(client.settle()).toEqual(['CDS new@1', 'EDS new@1', 'LDS']);
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    expect(client.settle()).toEqual(['RDS']);
    client.send('VHDS', { claims: { '80/shop': 'to old' } });
    expect(client.settle()).toEqual(['VHDS 80/shop@to new', 'CDS -old']);

    // A client that has no routes does not ask for them.
    const other = world.delta();
    other.send('CDS', { claims: { stable: '1', old: '1' } });
    other.send('LDS', { claims: { l: '1' } });
    expect(other.settle()).toEqual(['CDS new@1', 'LDS']);
    world.pass(5000);
    expect(other.settle()).toEqual(['CDS -old']);
  });

  test('a cluster that is there and has no endpoints any more is emptied', () => {
    const world = changed();
    world.source.part('out').remove(EDS, 'stable');
    world.flush();
    const client = world.delta();
    client.send('CDS', { claims: { stable: '1', new: '1' } });
    client.send('EDS', { sub: ['stable', 'new'], claims: { stable: '1', new: '1' } });
    expect(client.settle()).toEqual(['CDS', 'EDS stable@empty']);
  });
});

test('a new cluster of a client that follows names: its endpoints come before the route to it', () => {
  const world = changed();
  const client = world.delta();
  client.send('CDS');
  client.send('EDS', { sub: ['stable', 'new', 'a name that does not exist'] });
  client.send('LDS');
  client.send('RDS', { sub: ['80'] });
  client.send('VHDS');
  client.settle();
  world.source.part('out').set(CDS, 'newer', '1').set(EDS, 'newer', '1').set(VHDS, '80/shop', 'to newer');
  world.flush();
  expect(client.settle()).toEqual(['CDS newer@1', 'EDS newer@1', 'VHDS 80/shop@to newer']);
});

test('the status of a client whose claims all match: in sync, and not before its answers are accepted', () => {
  const client = changed().delta();
  const states = (): string[] =>
    ['CDS', 'EDS', 'LDS', 'RDS', 'VHDS'].map((type) => `${type} ${client.stream.types.get(typeOf(type))?.state}`);
  client.wire.slow = true;
  client.send('CDS', { claims: { stable: '1', new: '1' } });
  client.send('EDS', { sub: ['stable', 'new'], claims: { stable: '1', new: '1' } });
  client.send('LDS', { claims: { l: '1' } });
  client.send('VHDS', { claims: { '80/shop': 'to new' } });
  expect(states()).toEqual(['CDS STALE', 'EDS STALE', 'LDS STALE', 'RDS undefined', 'VHDS NOT_SENT']);
  client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
  expect(client.settle()).toEqual(['CDS', 'EDS', 'LDS', 'RDS']);
  expect(states()).toEqual(['CDS SYNCED', 'EDS SYNCED', 'LDS SYNCED', 'RDS SYNCED', 'VHDS SYNCED']);
});
