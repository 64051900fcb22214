/** What stock Envoy does over delta ADS with clusters, endpoints, listeners and refusals. Each test is one fact. */
import { describe, expect, it } from 'vitest';
import { needsEnvoy } from '../harness/envoy.ts';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { http } from '../harness/http.ts';
import { freePort } from '../harness/ports.ts';
import { edsCluster, endpoints, host, listener, routes, routesTo, staticCluster, table } from '../harness/resources.ts';
import { eventually } from '../harness/wait.ts';
import { get, serves, Session, twoPorts } from './session.ts';

/** A filter that stock Envoy does not have: a semantic error, which Envoy finds after the fields are validated. */
const unknownFilter = { name: 'istio.alpn', typed_config: { '@type': 'type.googleapis.com/google.protobuf.Empty' } };

/** A field that breaks `validate.rules`. */
const invalidPort = { socket_address: { address: '127.0.0.1', port_value: 99_999 } };

async function backend(text: string): Promise<{ readonly port: number } & Disposable> {
  const server: Server = createServer((_, response) => response.end(text));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => server.close() };
}

describe('A NACK', () => {
  needsEnvoy();

  it('of listeners for a semantic error leaves a mix: the good ones are applied and removals are done', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const [a, b] = await twoPorts();
    await session.configure([listener('old', a, 'r', { inline: 'old' })]);
    await serves(a, 'x', '200 old');
    const bad = listener('bad', await freePort(), 'r', { inline: 'bad', filters: [unknownFilter] });
    const error = await stream.refuse('LDS', [listener('good', b, 'r', { inline: 'good' }), bad], ['old']);
    expect(error).toContain('bad');
    expect(error).not.toContain('good');
    await serves(b, 'x', '200 good');
    expect(await envoy.listeners()).not.toContain('old');
  });

  it('of listeners for a field that breaks validate.rules shows the refused listener as text, and applies nothing', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const [a, b] = await twoPorts();
    await session.configure([listener('old', a, 'r', { inline: 'old' })]);
    await serves(a, 'x', '200 old');
    const bad = listener('the-bad-one', b, 'r', { inline: 'bad' });
    const invalid = { ...bad, json: { ...(bad.json as object), address: invalidPort } };
    const error = await stream.refuse('LDS', [listener('good', b, 'r', { inline: 'good' }), invalid], ['old']);
    expect(error).toMatch(/^goo\.gle\/debug\w+ *\s+name: "the-bad-one"/);
    expect(error).toContain('PortValue: value must be less than or equal to 65535');
    expect(error).not.toContain('"good"');
    expect(await envoy.listeners()).toEqual(['old']);
  });

  it('of clusters leaves the same mix for a semantic error, and nothing for one of validate.rules', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    await stream.accept('CDS', [staticCluster('c1'), staticCluster('c2')]);
    const noEds = { name: 'bad', json: { name: 'bad', type: 'EDS', connect_timeout: '1s' } };
    expect(await stream.refuse('CDS', [staticCluster('c3'), noEds], ['c1'])).toContain('bad');
    expect(Object.keys((await envoy.clusterStates()).active).sort()).toEqual(['c2', 'c3']);
    const negative = staticCluster('bad', '1', { connect_timeout: '-1s' });
    // Such a text, but of the field alone: nothing says which cluster it is.
    const error = await stream.refuse('CDS', [staticCluster('c4'), negative], ['c2']);
    expect(error).toContain('Invalid duration: Expected positive duration');
    expect(error).not.toContain('bad');
    expect(Object.keys((await envoy.clusterStates()).active).sort()).toEqual(['c2', 'c3']);
  });

  it('makes what Envoy claims on its next stream wrong', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    await stream.accept('CDS', [staticCluster('c1'), staticCluster('c2')]);
    const noEds = { name: 'bad', json: { name: 'bad', type: 'EDS', connect_timeout: '1s' } };
    await stream.refuse('CDS', [staticCluster('c2', '2', { connect_timeout: '3s' }), staticCluster('c3'), noEds], ['c1']);
    // In force: c2 at version 2 and c3; c1 is gone.
    const { active } = await envoy.clusterStates();
    expect(Object.keys(active).sort()).toEqual(['c2', 'c3']);
    const again = await session.reconnect();
    expect((await again.subscription('CDS')).claims).toEqual({ c1: '1', c2: '1' });
  });

  it('is repaired by a response that sets each name of the refused one', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    await stream.accept('CDS', [staticCluster('c1'), staticCluster('c2')]);
    const noEds = { name: 'bad', json: { name: 'bad', type: 'EDS', connect_timeout: '1s' } };
    await stream.refuse('CDS', [staticCluster('c2', '2'), staticCluster('c3'), noEds], ['c1']);
    await stream.accept('CDS', [staticCluster('c2', '3'), staticCluster('c3', '3')], ['bad', 'c1']);
    expect(Object.keys((await envoy.clusterStates()).active).sort()).toEqual(['c2', 'c3']);
    const again = await session.reconnect();
    expect((await again.subscription('CDS')).claims).toEqual({ c2: '3', c3: '3' });
  });

  it('of endpoints keeps the endpoints of before', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    const address = { endpoint: { address: { socket_address: { address: 'not-an-ip', port_value: 1 } } } };
    const bad = { name: 'c1', version: '2', json: { cluster_name: 'c1', endpoints: [{ lb_endpoints: [address] }] } };
    await stream.refuse('EDS', [bad]);
    expect(await envoy.endpoints('c1')).toEqual(['127.0.0.1:1001']);
  });

  it('can be followed by the version of before, which is applied like any other', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [routes('80', 'v1', '1')]);
    await stream.accept('RDS', [routes('80', 'v2', '2')]);
    await stream.refuse('RDS', [{ name: '80', version: '3', json: { name: '80', virtual_hosts: [{ name: 'x', domains: [] }] } }]);
    await serves(port, 'x', '200 v2');
    await stream.accept('RDS', [routes('80', 'v1', '1')]);
    await serves(port, 'x', '200 v1');
    expect((await session.reconnect().then((again) => again.subscription('RDS'))).claims).toEqual({ '80': '1' });
  });
});

describe('Warming', () => {
  needsEnvoy();

  it('does not hold back the ACK of the clusters that Envoy starts with', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const first = stream.send('CDS', [edsCluster('a')]);
    await stream.subscription('EDS', 'a');
    expect((await stream.answer(first)).error).toBeUndefined();
  });

  it('of any cluster holds back ACKs and NACKs of CDS, but later CDS is applied', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    await session.configure([], [staticCluster('z')]);
    const warming = stream.send('CDS', [edsCluster('a')]);
    await stream.subscription('EDS', 'a');
    const later = stream.send('CDS', [staticCluster('b')], ['z']);
    const refused = stream.send('CDS', [staticCluster('bad', '1', { connect_timeout: '-1s' })]);
    await eventually('b is active', async () => 'b' in (await envoy.clusterStates()).active);
    const { active } = await envoy.clusterStates();
    expect(active).not.toHaveProperty('z');
    expect([warming, later, refused].map((nonce) => stream.answered(nonce))).toEqual([false, false, false]);
    await stream.accept('EDS', [endpoints('a', [1001])]);
    expect((await stream.answer(refused)).error).toContain('Invalid duration');
    expect((await stream.answer(warming)).error).toBeUndefined();
    expect((await stream.answer(later)).error).toBeUndefined();
  });

  it('ends when the cluster is removed', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    await session.configure([]);
    const warming = stream.send('CDS', [edsCluster('a')]);
    await stream.subscription('EDS', 'a');
    await eventually('a warms', async () => 'a' in (await envoy.clusterStates()).warming);
    expect(stream.answered(warming)).toBe(false);
    stream.send('CDS', [], ['a']);
    expect((await stream.answer(warming)).error).toBeUndefined();
  });

  it('of a changed cluster asks for no endpoints, and waits for those that come after it, the same version or not', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1'), edsCluster('c2')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001]), endpoints('c2', [1002])]);
    const mark = stream.mark;
    const changed = stream.send('CDS', [edsCluster('c1', '2', '2s')]);
    await eventually('c1 warms', async () => 'c1' in (await envoy.clusterStates()).warming);
    expect(stream.after(mark, 'EDS')).toEqual([]);
    // Of another cluster: no help.
    await stream.accept('EDS', [endpoints('c2', [1003], '2')]);
    expect((await envoy.clusterStates()).warming).toHaveProperty('c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    expect((await stream.answer(changed)).error).toBeUndefined();
    expect((await envoy.clusterStates()).active).toMatchObject({ c1: '2' });
  });

  it('does not count endpoints that were sent before the changed cluster', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    const before = stream.send('EDS', [endpoints('c1', [1002], '2')]);
    const changed = stream.send('CDS', [edsCluster('c1', '2', '2s')]);
    await stream.answer(before);
    await eventually('c1 warms', async () => 'c1' in (await envoy.clusterStates()).warming);
    expect(stream.answered(changed)).toBe(false);
    await stream.accept('EDS', [endpoints('c1', [1002], '2')]);
    expect((await stream.answer(changed)).error).toBeUndefined();
  });

  it('over a reconnect asks for endpoints before clusters, and claims the old version of both', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    stream.send('CDS', [edsCluster('c1', '2', '2s')]);
    await eventually('c1 warms', async () => 'c1' in (await envoy.clusterStates()).warming);
    const again = await session.reconnect();
    const eds = await again.subscription('EDS');
    expect(eds).toMatchObject({ names: ['c1'], claims: { c1: '1' } });
    // Answering the claim with silence leaves the cluster warm for ever; in full, it becomes active.
    expect((await envoy.clusterStates()).warming).toHaveProperty('c1');
    await again.accept('EDS', [endpoints('c1', [1001])]);
    await eventually('c1 is active', async () => (await envoy.clusterStates()).active['c1'] === '2');
    await again.subscription('CDS');
    const order = again.requests.map((r) => r.type);
    expect(order.indexOf('EDS')).toBeLessThan(order.indexOf('CDS'));
  });

  it('is not caused by a cluster of the same bytes under another version', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    await stream.accept('CDS', [edsCluster('c1', '99')]);
    expect((await envoy.clusterStates()).warming).toEqual({});
  });
});

describe('Endpoints', () => {
  needsEnvoy();

  it('stay when their ClusterLoadAssignment is removed; an empty one removes them', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    await stream.accept('EDS', [], ['c1']);
    expect(await envoy.endpoints('c1')).toEqual(['127.0.0.1:1001']);
    await stream.accept('EDS', [endpoints('c1', [], '2')]);
    await eventually('no endpoint is left', async () => (await envoy.endpoints('c1'))?.length === 0);
  });

  it('of a cluster that was removed and added again are asked for again', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001])]);
    const mark = stream.mark;
    await stream.accept('CDS', [], ['c1']);
    await stream.request('c1 is unsubscribed', (r) => r.type === 'EDS' && r.unsubscribed.includes('c1'), mark);
    const removed = stream.mark;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1', removed);
    await stream.accept('EDS', [endpoints('c1', [1002])]);
    expect(await envoy.endpoints('c1')).toEqual(['127.0.0.1:1002']);
  });

  it('for a name that was never asked for are accepted and dropped', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    stream.send('CDS', [edsCluster('c1')]);
    await stream.subscription('EDS', 'c1');
    await stream.accept('EDS', [endpoints('c1', [1001]), endpoints('ghost', [1002])]);
    expect(await envoy.endpoints('ghost')).toBeUndefined();
  });
});

describe('A listener', () => {
  needsEnvoy();

  it('that changes needs neither its routes nor its virtual hosts again', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const [a, b] = await twoPorts();
    await session.configure([listener('l', a, '80'), listener('m', b, '81')]);
    await stream.subscription('RDS', '81');
    await stream.accept('RDS', [routes('80', 'r80'), table('81')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('81', 'a', 'v81')]);
    await serves(b, 'a', '200 v81');
    const mark = stream.mark;
    await stream.accept('LDS', [
      listener('l', a, '80', { version: '2', serverName: 'z' }),
      listener('m', b, '81', { version: '2', serverName: 'z' }),
    ]);
    // Only filter chains differ, so that Envoy replaces them in place; its dump goes on showing the version of before.
    for (const [port, name] of [
      [a, 'x'],
      [b, 'a'],
    ] as const) {
      await eventually(
        `${name} is served by the changed listener`,
        async () => (await http({ port, host: name })).headers['server'] === 'z',
      );
    }
    expect(await envoy.listenerStates()).toEqual({ l: { active: '1' }, m: { active: '1' } });
    expect(await get(a, 'x')).toBe('200 r80');
    expect(await get(b, 'a')).toBe('200 v81');
    expect(stream.after(mark, 'RDS').filter((r) => r.names.length > 0)).toEqual([]);
    expect(stream.after(mark, 'VHDS')).toEqual([]);
  });

  it('that switches to another table serves the old one until the new one has come', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('l', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [routes('80', 'r80')]);
    await serves(port, 'x', '200 r80');
    await stream.accept('LDS', [listener('l', port, '82', { version: '2' })]);
    await stream.subscription('RDS', '82');
    expect(await get(port, 'x')).toBe('200 r80');
    await stream.accept('RDS', [routes('82', 'r82')]);
    await serves(port, 'x', '200 r82');
  });

  it('with an unknown extension is refused alone and by name', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const [a, b] = await twoPorts();
    await session.configure([]);
    const missing = { name: 'istio.stats', typed_config: { '@type': 'type.googleapis.com/google.protobuf.Struct', value: {} } };
    const error = await stream.refuse('LDS', [
      listener('good', a, 'r', { inline: 'good' }),
      listener('with-istio-stats', b, 'r', { inline: 'x', filters: [missing] }),
    ]);
    expect(error).toContain('with-istio-stats');
    await serves(a, 'x', '200 good');
  });

  it('answers 500 from the moment on that an extension configuration (ECDS) of it is removed, which therefore must never be', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    const type = 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation';
    const source = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
    const filter = { name: 'mutation', config_discovery: { config_source: source, type_urls: [type] } };
    await session.configure([listener('l', port, 'r', { inline: 'l', filters: [filter] })]);
    await stream.subscription('ECDS', 'mutation');
    const added = { append: { header: { key: 'x-mutated', value: 'v1' } } };
    const config = { '@type': type, mutations: { response_mutations: [added] } };
    await stream.accept('ECDS', [{ name: 'mutation', json: { name: 'mutation', typed_config: config } }]);
    await serves(port, 'x', '200 l');
    expect((await http({ port, host: 'x' })).headers).toMatchObject({ 'x-mutated': 'v1' });
    await stream.accept('ECDS', [], ['mutation']);
    await serves(port, 'x', '500');
    expect((await http({ port, host: 'x' })).headers).not.toHaveProperty('x-mutated');
  });

  it('goes on with its routes when the stream is cut between RDS and VHDS and the next one sends the hosts', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const port = await freePort();
    await session.configure([listener('l', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [table('80')]);
    await stream.subscription('VHDS');
    const again = await session.reconnect();
    // It claims the table and no host of it: the table alone would leave the listener waiting.
    expect((await again.subscription('RDS')).claims).toEqual({ '80': '1' });
    expect((await again.subscription('VHDS')).claims).toEqual({});
    expect((await envoy.listenerStates())['l']).not.toHaveProperty('active');
    await again.accept('VHDS', [host('80', 'a', 'a1')]);
    await serves(port, 'a', '200 a1');
  });
});

describe('A stream', () => {
  needsEnvoy();

  it('takes subscriptions and unsubscriptions while a response is unanswered', async () => {
    await using session = await Session.start();
    const { stream } = session;
    using app = await backend('app');
    const port = await freePort();
    await session.configure([]);
    // The response with `a` waits for endpoints; `b` is asked for and dropped meanwhile.
    const warming = stream.send('CDS', [edsCluster('a')]);
    await stream.subscription('EDS', 'a');
    stream.send('CDS', [edsCluster('b')]);
    await stream.subscription('EDS', 'b');
    stream.send('CDS', [], ['b']);
    await stream.request('b is unsubscribed', (r) => r.type === 'EDS' && r.unsubscribed.includes('b'));
    expect(stream.answered(warming)).toBe(false);
    await stream.accept('EDS', [endpoints('a', [app.port])]);
    await stream.answer(warming);
    stream.send('LDS', [listener('l', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [routesTo('80', 'a')]);
    await serves(port, 'x', '200 app', '/a');
  });

  it('answers each response with its own nonce, in the order in which they were sent', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const nonces = ['1', '2', '3'].map((version) => stream.send('CDS', [staticCluster('c', version)]));
    await Promise.all(nonces.map((nonce) => stream.answer(nonce)));
    expect(stream.after(0, 'CDS').map((r) => r.nonce)).toEqual(['', ...nonces]);
  });

  it('claims on another server what it has accepted on the first', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await stream.accept('CDS', [staticCluster('c1', 'x'), staticCluster('c2', 'y')]);
    await stream.subscription('LDS');
    await stream.accept('LDS', [listener('l', port, 'r', { inline: 'l', version: 'z' })]);
    await stream.accept('CDS', [], ['c1']);
    const again = await session.reconnect();
    expect(await again.subscription('CDS')).toMatchObject({ names: [], nonce: '', claims: { c2: 'y' } });
    expect(await again.subscription('LDS')).toMatchObject({ names: [], nonce: '', claims: { l: 'z' } });
  });
});
