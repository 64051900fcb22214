import { describe, expect, test } from 'vitest';
import { node, World, typeOf } from './testing/harness.ts';

const CDS = typeOf('CDS');
const EDS = typeOf('EDS');
const LDS = typeOf('LDS');
const RDS = typeOf('RDS');
const VHDS = typeOf('VHDS');
const SDS = typeOf('SDS');

function mesh(): World {
  const world = new World();
  world.source
    .part('out')
    .set(CDS, 'c1', '1')
    .set(CDS, 'c2', '1')
    .set(EDS, 'c1', '1')
    .set(EDS, 'c2', '1')
    .set(LDS, 'l', '1')
    .set(RDS, '80', '1', { vhds: true })
    .set(VHDS, '80/a', '1')
    .set(VHDS, '80/b', '1');
  world.source.part('in').set(LDS, 'virtualInbound', '1');
  world.flush();
  return world;
}

/** As a fresh Envoy asks, everything acknowledged. */
function connected(world: World) {
  const client = world.delta();
  client.send('CDS');
  client.settle();
  client.send('EDS', { sub: ['c1', 'c2'] });
  client.send('LDS');
  client.settle();
  client.send('RDS', { sub: ['80'] });
  client.settle();
  client.send('VHDS');
  client.settle();
  return client;
}

describe('a first connection', () => {
  test('each type is answered when it is asked for', () => {
    const client = mesh().delta();
    client.send('CDS');
    expect(client.settle()).toEqual(['CDS c1@1 c2@1']);
    client.send('EDS', { sub: ['c1', 'c2'] });
    expect(client.settle()).toEqual(['EDS c1@1 c2@1']);
    client.send('LDS');
    expect(client.settle()).toEqual(['LDS l@1 virtualInbound@1']);
    client.send('RDS', { sub: ['80'] });
    expect(client.settle()).toEqual(['RDS 80@1']);
    client.send('VHDS');
    expect(client.settle()).toEqual(['VHDS 80/a@1 80/b@1']);
    expect(client.stream.types.get(EDS)?.subscribed).toBe('*');
    expect([...client.stream.types.values()].map((type) => type.state)).toEqual(['SYNCED', 'SYNCED', 'SYNCED', 'SYNCED', 'SYNCED']);
  });

  test('wildcards are answered even when there is nothing', () => {
    const client = new World().delta();
    client.send('CDS');
    client.send('LDS');
    expect(client.settle()).toEqual(['CDS', 'LDS']);
  });

  test('names that do not exist: empty endpoints, so that no cluster warms without end; a removal of anything else', () => {
    const client = mesh().delta();
    client.send('CDS');
    client.send('EDS', { sub: ['c1', 'none'] });
    client.send('RDS', { sub: ['none'] });
    client.send('SDS', { sub: ['none'] });
    expect(client.settle()).toEqual(['CDS c1@1 c2@1', 'EDS c1@1 none@empty', 'RDS -none', 'SDS -none']);
  });

  test('a wildcard beside a name', () => {
    const client = mesh().delta();
    client.send('CDS', { sub: ['*', 'c1', 'lazy'] });
    expect(client.settle()).toEqual(['CDS c1@1 c2@1 -lazy']);
  });

  test('an upper part covers and hides', () => {
    const world = mesh();
    world.source.part('in').set(CDS, 'c1', 'mine').hide(CDS, 'c2');
    world.flush();
    const client = world.delta();
    client.send('CDS');
    expect(client.settle()).toEqual(['CDS c1@mine']);
    world.source.part('out').set(CDS, 'c1', '2').set(CDS, 'c2', '2');
    world.flush();
    expect(client.settle()).toEqual([]);
    world.source.part('in').remove(CDS, 'c1').hide(CDS, 'c2', false);
    world.flush();
    expect(client.settle()).toEqual(['CDS c1@2 c2@2']);
  });

  test('listeners wait for clusters that a warming Envoy has not asked for yet, though not for ever', () => {
    const world = mesh();
    const client = world.delta();
    client.send('EDS', { sub: ['c1', 'c2'], claims: { c1: '1', c2: '1' } });
    expect(client.settle()).toEqual(['EDS c1@1 c2@1']);
    client.send('LDS', { claims: { l: '0' } });
    expect(client.settle()).toEqual([]);
    client.send('CDS', { claims: { c1: '1', c2: '1' } });
    expect(client.settle()).toEqual(['CDS', 'LDS virtualInbound@1 l@1']);

    const other = world.delta();
    other.send('EDS', { sub: ['c1'] });
    other.send('LDS');
    expect(other.settle()).toEqual(['EDS c1@1']);
    world.pass(5000);
    expect(other.settle()).toEqual(['LDS l@1 virtualInbound@1']);
  });
});

describe('changes', () => {
  test('only what changed is sent', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(EDS, 'c2', '2');
    world.flush();
    expect(client.settle()).toEqual(['EDS c2@2']);
    world.source.part('out').set(VHDS, '80/b', '2').remove(VHDS, '80/a').set(VHDS, '81/x', '1');
    world.flush();
    expect(client.settle()).toEqual(['VHDS 80/b@2 -80/a']);
  });

  test('types of which nothing has changed are not looked at, neither for a change nor for its acknowledgement', () => {
    const world = mesh();
    const client = connected(world);
    const out = world.source.part('out');
    const looked = new Set<string>();
    const table = out.table.bind(out);
    out.table = (type) => {
      looked.add(type);
      return table(type);
    };
    out.set(EDS, 'c2', '2');
    world.flush();
    expect(client.settle()).toEqual(['EDS c2@2']);
    expect([...looked].filter((type) => type !== CDS)).toEqual([EDS]);
  });

  test('a changed cluster is followed by its endpoints, unchanged', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(CDS, 'c1', '2');
    world.flush();
    expect(client.got()).toEqual(['CDS c1@2', 'EDS c1@1']);
  });

  test('make before break: clusters first, removed clusters after listeners and routes are acknowledged', () => {
    const world = mesh();
    const client = connected(world);
    const out = world.source.part('out');
    out.set(CDS, 'c3', '1').set(EDS, 'c3', '1').remove(CDS, 'c1').remove(EDS, 'c1');
    out.set(LDS, 'l', '2').set(VHDS, '80/a', '2');
    world.flush();
    expect(client.got()).toEqual(['CDS c3@1', 'EDS c3@1', 'LDS l@2', 'VHDS 80/a@2']);
    client.ack('LDS');
    expect(client.got()).toEqual([]);
    client.ack('VHDS');
    expect(client.got()).toEqual(['CDS -c1']);
  });

  test('removed clusters do not wait for ever for an ACK, and not at all when they are back', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').remove(CDS, 'c1').remove(CDS, 'c2').set(LDS, 'l', '2');
    world.flush();
    expect(client.got()).toEqual(['LDS l@2']);
    world.source.part('out').set(CDS, 'c2', '2');
    world.flush();
    expect(client.got()).toEqual(['CDS c2@2', 'EDS c2@1']);
    world.pass(5000);
    expect(client.got()).toEqual(['CDS -c1']);
  });

  test('a client that refuses a removal is asked again, ever more seldom, until it accepts', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').remove(CDS, 'c1');
    world.flush();
    expect(client.got()).toEqual(['CDS -c1']);
    client.nack('CDS', 'no');
    expect(client.got()).toEqual([]);
    world.pass(4999);
    expect(client.got()).toEqual([]);
    world.pass(1);
    expect(client.got()).toEqual(['CDS -c1']);
    client.nack('CDS', 'no');
    world.pass(9999);
    expect(client.got()).toEqual([]);
    world.pass(1);
    expect(client.got()).toEqual(['CDS -c1']);
    client.ack('CDS');
    world.source.part('out').remove(CDS, 'c2');
    world.flush();
    expect(client.got()).toEqual(['CDS -c2']);
    client.nack('CDS', 'no');
    world.pass(5000);
    expect(client.got()).toEqual(['CDS -c2']);
  });

  test('endpoints that go while their cluster stays become empty', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').remove(EDS, 'c1');
    world.flush();
    expect(client.settle()).toEqual(['EDS c1@empty']);
  });

  test('what changes while responses are unacknowledged is merged', () => {
    const world = new World(undefined, { limits: { maxUnackedBytes: 10 } });
    world.source.part('out').set(CDS, 'c1', '1');
    world.flush();
    const client = world.delta();
    client.send('CDS');
    client.settle();
    for (const version of ['2', '3', '4']) {
      world.source.part('out').set(CDS, 'c1', version);
      world.flush();
    }
    expect(client.got()).toEqual(['CDS c1@2']);
    client.ack('CDS');
    expect(client.got()).toEqual(['CDS c1@4']);
    world.source.part('out').set(CDS, 'c1', '5');
    world.flush();
    world.pass(14_000);
    expect(client.got()).toEqual([]);
    world.pass(2_000);
    expect(client.got()).toEqual(['CDS c1@5']);
  });

  test('nothing is read while the source is not settled', () => {
    const world = mesh();
    const client = world.delta();
    world.source.unsettle();
    client.send('CDS');
    expect(client.got()).toEqual([]);
    world.flush();
    expect(client.got()).toEqual(['CDS c1@1 c2@1']);
  });

  test('a stream that is too far behind is ended, so that it comes back with claims', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(CDS, 'c1', '2');
    world.source.part('out').table(CDS)?.flush();
    world.source.part('out').table(CDS)?.forget();
    world.source.part('out').set(CDS, 'c1', '3');
    world.flush();
    expect(client.wire.ended?.code).toBe('ABORTED');
  });
});

describe('subscriptions', () => {
  test('a name that is subscribed again is answered again', () => {
    const client = connected(mesh());
    client.send('EDS', { sub: ['c1'] });
    expect(client.got()).toEqual(['EDS c1@1']);
    client.send('EDS', { sub: ['c1'], nonce: 'unknown' });
    expect(client.got()).toEqual(['EDS c1@1']);
  });

  test('subscribe and unsubscribe while a response is unacknowledged', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(RDS, '81', '1').set(EDS, 'c1', '2');
    world.flush();
    expect(client.got()).toEqual(['EDS c1@2']);
    client.send('RDS', { sub: ['81'] });
    expect(client.got()).toEqual(['RDS 81@1']);
    client.send('RDS', { unsub: ['81'] });
    world.source.part('out').set(RDS, '81', '2');
    world.flush();
    expect(client.got()).toEqual([]);
  });

  test('secrets are only what was asked for, and at once', () => {
    const world = mesh();
    world.source.part('id').set(SDS, 'default', '1').set(SDS, 'ROOTCA', '1');
    world.flush();
    const client = world.delta();
    client.send('SDS', { sub: ['default'] });
    expect(client.settle()).toEqual(['SDS default@1']);
    world.source.part('id').set(SDS, 'default', '2').set(SDS, 'ROOTCA', '2');
    world.flush();
    expect(client.settle()).toEqual(['SDS default@2']);
  });

  test('too many names', () => {
    const world = new World(undefined, { limits: { maxNames: 2 } });
    const client = world.delta();
    client.send('RDS', { sub: ['a', 'b', 'c'] });
    expect(client.wire.ended?.code).toBe('RESOURCE_EXHAUSTED');
  });
});

describe('a reconnect', () => {
  test('what is claimed and current is not sent, what is claimed and gone is removed', () => {
    const world = mesh();
    const client = world.delta();
    client.send('CDS', { claims: { c1: '1', c2: '0', gone: '1' } });
    client.send('EDS', { sub: ['c1', 'c2'], claims: { c1: '1', c2: '1' } });
    client.send('LDS', { claims: { l: '1', virtualInbound: '1', old: '1' } });
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    client.send('VHDS', { claims: { '80/a': '0', '80/b': '1', '80/gone': '1', '81/x': '1' } });
    expect(client.settle()).toEqual(['CDS c2@1', 'EDS c2@1', 'LDS -old', 'RDS', 'VHDS -81/x', 'VHDS 80/a@1 -80/gone', 'CDS -gone']);
    expect(client.stream.types.get(EDS)?.subscribed).toBe('*');
  });

  test('claims that are in doubt stay so when somebody else takes the same name', () => {
    const world = mesh();
    const identity = { spiffeId: 'spiffe://td/ns/ns/sa/a', trustDomain: 'td', namespace: 'ns', serviceAccount: 'a' };
    const proven = { address: '10.0.0.1', secure: true, identity };
    const client = world.delta(node, proven);
    client.send('CDS');
    expect(client.got()).toEqual(['CDS c1@1 c2@1']);
    client.stream.disconnected('cut');
    world.delta(node).send('CDS');
    const back = world.delta(node, proven);
    back.send('CDS', { claims: { c1: '1', c2: '1' } });
    expect(back.got()).toEqual(['CDS c1@1 c2@1']);
  });

  test('a client that warms for want of endpoints whose cluster is to go gets them emptied, else it would never ask for clusters', () => {
    const world = mesh();
    const client = world.delta();
    client.send('EDS', { sub: ['c1', 'gone'], claims: { c1: '1', gone: '1' } });
    expect(client.settle()).toEqual(['EDS c1@1']);
    world.pass(1000);
    expect(client.settle()).toEqual(['EDS gone@empty']);
    client.send('CDS', { claims: { c1: '1', c2: '1', gone: '1' } });
    client.send('LDS', { claims: { l: '1', virtualInbound: '1' } });
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    client.send('VHDS', { claims: { '80/a': '1', '80/b': '1' } });
    expect(client.settle()).toEqual(['CDS', 'LDS', 'RDS', 'CDS -gone']);
  });

  test('a route table that is sent is followed by all of its hosts, whatever is claimed', () => {
    const client = mesh().delta();
    client.send('RDS', { sub: ['80'], claims: { '80': '0' } });
    client.send('VHDS', { claims: { '80/a': '1', '80/b': '1' } });
    expect(client.settle()).toEqual(['RDS 80@1', 'VHDS 80/a@1 80/b@1']);
  });
});

describe('virtual hosts', () => {
  test('a second table is followed by its hosts without being asked', () => {
    const world = mesh();
    world.source.part('out').set(RDS, '81', '1', { vhds: true }).set(VHDS, '81/x', '1');
    world.flush();
    const client = connected(world);
    client.send('RDS', { sub: ['81'] });
    expect(client.got()).toEqual(['RDS 81@1', 'VHDS 81/x@1']);
  });

  test('a table without any host is released', () => {
    const world = mesh();
    world.source.part('out').set(RDS, '81', '1', { vhds: true });
    world.flush();
    const client = connected(world);
    client.send('RDS', { sub: ['81'] });
    expect(client.got()).toEqual(['RDS 81@1', 'VHDS -81/-']);
  });

  test('a dropped table: its hosts are removed by name, and when it is back it has a marked version', () => {
    const world = mesh();
    const client = connected(world);
    client.send('RDS', { unsub: ['80'] });
    expect(client.settle()).toEqual(['VHDS -80/a -80/b']);
    world.source.part('out').set(VHDS, '80/a', '2');
    world.flush();
    expect(client.settle()).toEqual([]);
    client.send('RDS', { sub: ['80'] });
    expect(client.settle()).toEqual(['RDS 80@1~', 'VHDS 80/a@2 80/b@1']);
  });

  test('hosts that go with their table stay until it is let go of: its connections drain', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').remove(RDS, '80').remove(VHDS, '80/a').remove(VHDS, '80/b').remove(LDS, 'l');
    world.flush();
    expect(client.settle()).toEqual(['LDS -l', 'RDS -80']);
    client.send('RDS', { unsub: ['80'] });
    expect(client.settle()).toEqual(['VHDS -80/a -80/b']);
  });

  test('a stream that was cut between a table and its hosts brings the hosts', () => {
    const client = mesh().delta();
    client.send('RDS', { sub: ['80'], claims: { '80': '1' } });
    client.send('VHDS');
    expect(client.settle()).toEqual(['RDS', 'VHDS 80/a@1 80/b@1']);
  });

  test('without any table left, and the first one again', () => {
    const world = mesh();
    const client = world.delta();
    client.send('VHDS', { claims: { '80/a': '1' } });
    // Which tables it has is not known before it asks for them.
    expect(client.settle()).toEqual([]);
    client.send('RDS', { sub: ['80'] });
    expect(client.settle()).toEqual(['RDS 80@1', 'VHDS 80/a@1 80/b@1']);
    client.send('RDS', { unsub: ['80'] });
    expect(client.settle()).toEqual(['VHDS -80/a -80/b']);
    world.source.part('out').set(VHDS, '80/a', '2');
    world.flush();
    expect(client.settle()).toEqual([]);
  });

  test('a host that moves a domain to another goes in one response with it', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(VHDS, '80/c', 'has the domain of a').remove(VHDS, '80/a').set(RDS, '80', '2', { vhds: true });
    world.flush();
    expect(client.settle()).toEqual(['RDS 80@2', 'VHDS 80/b@1 80/c@has the domain of a -80/a']);
  });

  test('one response carries one table', () => {
    const world = mesh();
    world.source.part('out').set(RDS, '81', '1', { vhds: true }).set(VHDS, '81/x', '1');
    world.flush();
    const client = connected(world);
    client.send('RDS', { sub: ['81'] });
    client.settle();
    world.source.part('out').set(VHDS, '81/x', '2').set(VHDS, '80/a', '2').remove(VHDS, '80/b');
    world.flush();
    expect(client.settle().sort()).toEqual(['VHDS 80/a@2 -80/b', 'VHDS 81/x@2']);
  });
});

describe('a refusal', () => {
  test('the resource that Envoy names is held back, the rest set again', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(LDS, 'good', '1').set(LDS, 'bad', '1').remove(LDS, 'l');
    world.flush();
    expect(client.got()).toEqual(['LDS good@1 bad@1 -l']);
    client.nack('LDS', 'Error adding/updating listener(s) bad: no such filter');
    expect(client.stream.types.get(LDS)?.state).toBe('ERROR');
    expect(client.stream.types.get(LDS)?.heldBack).toEqual(['bad']);
    expect(world.observer.events.at(-1)).toBe('rejected LDS bad Error adding/updating listener(s) bad: no such filter');
    expect(client.settle()).toEqual(['LDS good@1~ -l']);
    expect(client.stream.types.get(LDS)?.state).toBe('ERROR');
    world.source.part('out').set(LDS, 'good', '2');
    world.flush();
    expect(client.settle()).toEqual(['LDS good@2']);
    world.source.part('out').set(LDS, 'bad', '2');
    world.flush();
    expect(client.settle()).toEqual(['LDS bad@2~']);
    expect(client.stream.types.get(LDS)?.state).toBe('SYNCED');
    expect(client.stream.types.get(LDS)?.heldBack).toEqual([]);
  });

  test('a suspect that nothing names is found by halving', () => {
    const world = mesh();
    const client = connected(world);
    for (const host of ['c', 'd', 'e', 'f']) world.source.part('out').set(VHDS, `80/${host}`, '1');
    world.flush();
    expect(client.got()).toEqual(['VHDS 80/c@1 80/d@1 80/e@1 80/f@1']);
    client.nack('VHDS', 'missing ): (((');
    expect(client.got()).toEqual(['VHDS 80/c@1~ 80/d@1~']);
    client.ack('VHDS');
    expect(client.got()).toEqual(['VHDS 80/e@1~ 80/f@1~']);
    client.nack('VHDS', 'missing ): (((');
    expect(client.got()).toEqual(['VHDS 80/e@1~']);
    client.ack('VHDS');
    expect(client.got()).toEqual(['VHDS 80/f@1~']);
    client.nack('VHDS', 'missing ): (((');
    expect(client.got()).toEqual([]);
    expect(client.stream.types.get(VHDS)?.heldBack).toEqual(['80/f']);
  });

  test('rollback to the version before: it is sent although it is the one that was acknowledged', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(CDS, 'c1', '2').set(CDS, 'c2', 'bad');
    world.flush();
    expect(client.got()).toEqual(['CDS c1@2 c2@bad', 'EDS c1@1 c2@1']);
    client.ack('EDS');
    client.nack('CDS', 'Error adding/updating cluster(s) c2: no');
    expect(client.got()).toEqual(['CDS c1@2~', 'EDS c1@1']);
    world.source.part('out').set(CDS, 'c1', '1').set(CDS, 'c2', '1');
    world.flush();
    expect(client.got()).toEqual([]);
    client.ack('CDS');
    expect(client.settle()).toEqual(['CDS c1@1~', 'EDS c1@1', 'CDS c2@1~', 'EDS c2@1']);
    expect(client.stream.types.get(CDS)?.heldBack).toEqual([]);
  });

  test('a stream that ends with something refused: the next one does not believe the claims of it, and removes what is not claimed at all', () => {
    const world = mesh();
    const client = connected(world);
    world.source.part('out').set(LDS, 'l', '2').set(LDS, 'bad', '1');
    world.flush();
    client.got();
    client.nack('LDS', 'Error adding/updating listener(s) bad: no');
    client.stream.disconnected('gone');
    const again = world.delta();
    world.source.part('out').remove(LDS, 'bad');
    world.flush();
    again.send('LDS', { claims: { l: '2', virtualInbound: '1' } });
    expect(again.got()).toEqual(['LDS l@2 -bad']);
  });
});

describe('large answers', () => {
  test('wait for their turn when too much is in flight', () => {
    const world = new World(undefined, { maxBytesInFlight: 100_000 });
    world.source.part('out').put(CDS, { name: 'c', version: '1', bytes: new Uint8Array(80_000) });
    world.flush();
    const [a, b] = [world.delta(), world.delta()];
    a.wire.slow = true;
    a.send('CDS');
    b.send('CDS');
    expect([a.wire.written.length, b.wire.written.length]).toEqual([1, 0]);
    a.wire.flush();
    world.turn();
    expect(b.got()).toEqual(['CDS c@1']);
    expect(world.hub.bytesInFlight).toBe(0);
  });

  test('a slow reader is not waited for', () => {
    const world = new World(undefined, { maxBytesInFlight: 100_000 });
    world.source.part('out').put(CDS, { name: 'c', version: '1', bytes: new Uint8Array(80_000) });
    world.flush();
    const [a, b] = [world.delta(), world.delta()];
    a.wire.slow = true;
    a.send('CDS');
    b.send('CDS');
    world.pass(4000);
    expect(b.got()).toEqual([]);
    world.pass(2000);
    expect(b.got()).toEqual(['CDS c@1']);
    a.wire.flush();
    expect(world.hub.bytesInFlight).toBe(0);
  });

  test('what a stream that ends has in flight is given back', () => {
    const world = new World(undefined, { maxBytesInFlight: 100_000 });
    world.source.part('out').put(CDS, { name: 'c', version: '1', bytes: new Uint8Array(80_000) });
    world.flush();
    const [a, b] = [world.delta(), world.delta()];
    a.wire.slow = true;
    a.send('CDS');
    b.send('CDS');
    a.stream.disconnected('gone');
    world.turn();
    expect(b.got()).toEqual(['CDS c@1']);
  });

  test('a stream that reads nothing is ended', () => {
    const world = mesh();
    const a = world.delta();
    a.wire.slow = true;
    a.send('CDS');
    world.pass(60_000);
    expect(a.wire.ended).toBeUndefined();
    world.pass(1000);
    expect(a.wire.ended).toEqual({ code: 'RESOURCE_EXHAUSTED', details: 'nothing was read for 61 s' });
  });
});

describe('parts', () => {
  test('another list of parts: what differs by version is sent', () => {
    const world = new World();
    const a = world.source.part('a').set(CDS, 'same', '1').set(CDS, 'other', '1').set(CDS, 'gone', '1');
    const b = world.source.part('b').set(CDS, 'same', '1').set(CDS, 'other', '2').set(CDS, 'new', '1');
    world.flush();
    const client = world.delta();
    const [subscription] = world.source.subscriptions;
    subscription?.changeParts([a]);
    client.send('CDS');
    client.send('LDS');
    client.settle();
    subscription?.changeParts([b]);
    world.turn();
    expect(client.settle()).toEqual(['CDS other@2 new@1', 'CDS -gone']);
  });
});
