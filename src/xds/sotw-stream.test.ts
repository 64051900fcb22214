import { expect, test } from 'vitest';
import { World, typeOf } from './testing/harness.ts';

const CDS = typeOf('CDS');
const EDS = typeOf('EDS');
const LDS = typeOf('LDS');
const RDS = typeOf('RDS');
const VHDS = typeOf('VHDS');

/** `domains: "<host>"` of a VirtualHost without its name. */
const domains = (host: string) => Uint8Array.of(0x12, host.length, ...new TextEncoder().encode(host));

function mesh(): World {
  const world = new World();
  world.source
    .part('out')
    .set(CDS, 'c1', 'c1 1')
    .set(CDS, 'c2', 'c2 1')
    .set(EDS, 'c1', 'e1 1')
    .set(EDS, 'c2', 'e2 1')
    .set(LDS, 'l', 'l 1')
    .put(RDS, { name: '80', version: '1', bytes: new Uint8Array(), vhds: true })
    .put(VHDS, { name: '80/a', version: '1', bytes: domains('a') });
  world.flush();
  return world;
}

function connected(world: World) {
  const client = world.sotw();
  client.send('CDS');
  client.settle();
  client.send('EDS', ['c1', 'c2']);
  client.send('LDS');
  client.settle();
  client.send('RDS', ['80']);
  client.settle();
  return client;
}

test('a route table travels whole, its virtual hosts named without the table', () => {
  const world = mesh();
  const client = world.sotw();
  client.send('RDS', ['80']);
  // virtual_hosts { name: "a" domains: "a" }
  expect(client.got()).toEqual(['RDS \x12\x06\x0a\x01a\x12\x01a']);
  client.ack('RDS');
  world.source.part('out').put(VHDS, { name: '81/x', version: '1', bytes: domains('x') });
  world.flush();
  expect(client.got()).toEqual([]);
  world.source.part('out').put(VHDS, { name: '80/b', version: '1', bytes: domains('b') });
  world.flush();
  expect(client.got()).toEqual(['RDS \x12\x06\x0a\x01a\x12\x01a\x12\x06\x0a\x01b\x12\x01b']);
});

test('endpoints that change go alone, clusters and listeners together', () => {
  const world = mesh();
  const client = connected(world);
  world.source.part('out').set(EDS, 'c2', 'e2 2');
  world.flush();
  expect(client.settle()).toEqual(['EDS e2 2']);
  world.source.part('out').set(CDS, 'c2', 'c2 2');
  world.flush();
  expect(client.settle()).toEqual(['CDS c1 1|c2 2', 'EDS e2 2']);
});

test('the EDS request that looks like one more ACK, its names in another order, is answered', () => {
  const world = mesh();
  const client = connected(world);
  client.send('EDS', ['c2', 'c1'], client.nonceOf('EDS'));
  expect(client.settle().map((line) => line.split(/[ |]/).sort().join(' '))).toEqual(['1 1 EDS e1 e2']);
});

test('a nonce that is not the newest is ignored, whatever it asks for', () => {
  const world = mesh();
  const client = connected(world);
  const stale = client.nonceOf('EDS');
  world.source.part('out').set(EDS, 'c2', 'e2 2');
  world.flush();
  client.got();
  client.send('EDS', ['c1', 'c2', 'c3'], stale);
  expect(client.got()).toEqual([]);
  client.send('EDS', ['c1', 'c2', 'c3'], client.nonceOf('EDS'));
  // An empty ClusterLoadAssignment: cluster_name "c3".
  expect(client.got()).toEqual(['EDS \x0a\x02c3']);
});

test('make before break: clusters that have gone stay until listeners and routes are acknowledged', () => {
  const world = mesh();
  const client = connected(world);
  world.source.part('out').set(CDS, 'c3', 'c3 1').remove(CDS, 'c1').set(LDS, 'l', 'l 2');
  world.flush();
  expect(client.got()).toEqual(['CDS c2 1|c3 1|c1 1', 'LDS l 2']);
  client.ack('CDS');
  expect(client.got()).toEqual([]);
  client.ack('LDS');
  expect(client.got()).toEqual(['CDS c2 1|c3 1']);
});

test('a new cluster brings its endpoints before the routes to it; one that is to go keeps its own', () => {
  const world = mesh();
  const client = connected(world);
  world.source.part('out').set(CDS, 'c3', 'c3 1').set(EDS, 'c3', 'e3 1').remove(CDS, 'c1').remove(EDS, 'c1');
  world.source.part('out').put(VHDS, { name: '80/a', version: '2', bytes: domains('b') });
  world.flush();
  const routes = 'RDS \x12\x06\x0a\x01a\x12\x01b';
  expect(client.got()).toEqual(['CDS c2 1|c3 1|c1 1', 'EDS e3 1', routes]);
  client.ack('CDS');
  client.send('EDS', ['c1', 'c2', 'c3'], client.nonceOf('EDS'));
  expect(client.got()).toEqual([]);
  client.ack('RDS');
  expect(client.settle()).toEqual(['CDS c2 1|c3 1']);
});

test('after a reconnect too', () => {
  const client = mesh().sotw();
  client.send('CDS');
  client.send('EDS', ['c1', 'old']);
  client.send('RDS', ['80']);
  expect(client.got()).toEqual(['CDS c1 1|c2 1', 'EDS e1 1|e2 1', 'RDS \x12\x06\x0a\x01a\x12\x01a']);
});

test('after a refusal nothing is sent until something changes', () => {
  const world = mesh();
  const client = connected(world);
  world.source.part('out').set(LDS, 'bad', 'bad 1');
  world.flush();
  expect(client.got()).toEqual(['LDS l 1|bad 1']);
  client.send('LDS', [], client.nonceOf('LDS'), 'Error adding/updating listener(s) bad: no');
  expect(client.got()).toEqual([]);
  expect(client.stream.types.get(LDS)?.state).toBe('ERROR');
  expect(world.observer.events.at(-1)).toBe('rejected LDS bad Error adding/updating listener(s) bad: no');
  world.source.part('out').remove(LDS, 'bad');
  world.flush();
  expect(client.settle()).toEqual(['LDS l 1']);
  expect(client.stream.types.get(LDS)?.state).toBe('SYNCED');
});

test('an empty list of names unsubscribes', () => {
  const world = mesh();
  const client = connected(world);
  client.send('RDS', [], client.nonceOf('RDS'));
  world.source.part('out').put(VHDS, { name: '80/a', version: '2', bytes: domains('z') });
  world.flush();
  expect(client.got()).toEqual([]);
});

test('a refused table names the virtual hosts that have changed since one was accepted, until one is again', () => {
  const world = mesh();
  const client = world.sotw();
  const put = (host: string, version: string) =>
    world.source.part('out').put(VHDS, { name: `80/${host}`, version, bytes: domains(version) });
  put('b', '1');
  world.flush();
  client.send('RDS', ['80']);
  client.got();
  client.send('RDS', ['80'], client.nonceOf('RDS'), 'first');
  expect(world.observer.events.at(-1)).toBe('rejected RDS 80,80/a,80/b first');
  put('a', '2');
  world.flush();
  client.got();
  client.ack('RDS');
  put('b', '2');
  world.flush();
  client.got();
  client.send('RDS', ['80'], client.nonceOf('RDS'), 'second');
  expect(world.observer.events.at(-1)).toBe('rejected RDS 80,80/b second');
  put('b', '3');
  world.flush();
  client.got();
  client.send('RDS', ['80'], client.nonceOf('RDS'), 'third');
  expect(world.observer.events.at(-1)).toBe('rejected RDS 80,80/b third');
  put('b', '4');
  world.flush();
  client.got();
  client.ack('RDS');
  put('a', '3');
  world.flush();
  client.got();
  client.send('RDS', ['80'], client.nonceOf('RDS'), 'fourth');
  expect(world.observer.events.at(-1)).toBe('rejected RDS 80,80/a fourth');
});
