/** The streams of mizzen honour what a real Envoy demands; the facts themselves are in the other tests of this folder. */
import { describe, expect, it } from 'vitest';
import { TestRoot } from '../harness/certificates.ts';
import { needsEnvoy } from '../harness/envoy.ts';
import { freePort } from '../harness/ports.ts';
import { certificate, edsCluster, endpoints, host, listener, routes, staticCluster, table, tlsContext } from '../harness/resources.ts';
import { eventually } from '../harness/wait.ts';
import { Resources, Served } from './engine.ts';
import { get, serves, Session, twoPorts } from './session.ts';

const unknownFilter = { name: 'istio.alpn', typed_config: { '@type': 'type.googleapis.com/google.protobuf.Empty' } };
const names = (state: object): string[] => Object.keys(state).toSorted();

describe('Delta streams', () => {
  needsEnvoy();

  it('release the listeners of tables with and without hosts, and send one host when one host changes', async () => {
    const [one, two] = await twoPorts();
    const resources = new Resources()
      .put('LDS', listener('one', one, '80'), listener('two', two, '81'))
      .put('RDS', table('80', { star: 'none' }), table('81', { star: 'none' }))
      .put('VHDS', host('80', 'a', 'a1'), host('80', 'b', 'b1'));
    await using served = await Served.start(resources);
    await served.envoy.ready();
    expect([await get(one, 'a'), await get(one, 'b'), await get(one, 'x'), await get(two, 'a')]).toEqual([
      '200 a1',
      '200 b1',
      '502 none',
      '502 none',
    ]);
    await served.synced('CDS', 'LDS', 'RDS', 'VHDS');
    const mark = served.replica.events.length;
    resources.put('VHDS', host('80', 'a', 'a2')).flush();
    await serves(one, 'a', '200 a2');
    await served.synced('VHDS');
    expect(served.replica.events.slice(mark)).toEqual([
      { kind: 'sent', type: 'VHDS', resources: 1, removed: 0 },
      { kind: 'acked', type: 'VHDS' },
    ]);
    resources
      .put('VHDS', host('81', 'late', 'late'))
      .remove('VHDS', '80/b')
      .flush();
    await serves(two, 'late', '200 late');
    await serves(one, 'b', '502 none');
  });

  it('bring the hosts of a table that was dropped and is asked for again, also over reconnects', async () => {
    const [one, two] = await twoPorts();
    const resources = new Resources()
      .put('LDS', listener('one', one, '80'), listener('two', two, '81'))
      .put('RDS', table('80'), table('81'))
      .put('VHDS', host('80', 'a', 'a1'), host('81', 'b', 'b1'));
    await using served = await Served.start(resources);
    await serves(two, 'b', '200 b1');
    resources.remove('LDS', 'two').flush();
    await eventually('the listener is gone', async () => !(await served.envoy.listeners()).includes('two'));
    await eventually('the table is gone', async () => {
      const dump = (await served.envoy.configDump('RoutesConfigDump')) as { dynamic_route_configs?: unknown[] };
      return dump.dynamic_route_configs?.length === 1;
    });
    resources.put('LDS', listener('two', two, '81')).flush();
    await serves(two, 'b', '200 b1');

    resources.remove('LDS', 'two').flush();
    await eventually('the listener is gone', async () => !(await served.envoy.listeners()).includes('two'));
    await served.reconnect(() => resources.put('VHDS', host('81', 'b', 'b2')).flush());
    resources.put('LDS', listener('two', two, '81', { serverName: 'again' })).flush();
    await serves(two, 'b', '200 b2');
    expect(await get(one, 'a')).toBe('200 a1');
  });

  it('begin VHDS again after the last table was dropped', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('LDS', listener('one', port, '80'))
      .put('RDS', table('80'))
      .put('VHDS', host('80', 'a', 'a1'));
    await using served = await Served.start(resources);
    await serves(port, 'a', '200 a1');
    resources.remove('LDS', 'one').flush();
    await eventually('the listener is gone', async () => (await served.envoy.listeners()).length === 0);
    await served.reconnect();
    await served.synced('CDS', 'LDS');
    resources.put('LDS', listener('one', port, '80')).flush();
    await serves(port, 'a', '200 a1');
    expect(served.replica.rejected).toEqual([]);
  });

  it('resend nothing that a reconnecting Envoy has, and everything that changed meanwhile', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('CDS', edsCluster('c1'), staticCluster('c2'), staticCluster('c3'))
      .put('EDS', endpoints('c1', [1001]))
      .put('LDS', listener('one', port, '80'))
      .put('RDS', table('80', { star: 'none' }))
      .put('VHDS', host('80', 'a', 'a1'), host('80', 'b', 'b1'), host('80', 'c', 'c1'));
    await using served = await Served.start(resources);
    await serves(port, 'a', '200 a1');
    await served.synced('CDS', 'EDS', 'LDS', 'RDS', 'VHDS');
    const unchanged = await served.reconnect();
    await served.synced('CDS', 'EDS', 'LDS', 'RDS');
    expect(served.replica.carried(unchanged)).toEqual([]);

    await served.reconnect(() => {
      resources.put('VHDS', host('80', 'a', 'a2'), host('80', 'd', 'd1')).remove('VHDS', '80/b');
      resources.put('CDS', staticCluster('c4')).remove('CDS', 'c2');
      resources.put('EDS', endpoints('c1', [1002])).flush();
    });
    await serves(port, 'a', '200 a2');
    await serves(port, 'b', '502 none');
    await serves(port, 'd', '200 d1');
    expect(await get(port, 'c')).toBe('200 c1');
    await eventually('clusters as changed', async () => names((await served.envoy.clusterStates()).active).join() === 'c1,c3,c4');
    await eventually('endpoints as changed', async () => (await served.envoy.endpoints('c1'))?.join() === '127.0.0.1:1002');
  });

  it('resend nothing to an Envoy that comes from another replica', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('CDS', staticCluster('c1'))
      .put('LDS', listener('one', port, '80'))
      .put('RDS', table('80'))
      .put('VHDS', host('80', 'a', 'a1'));
    await using served = await Served.start(resources);
    await serves(port, 'a', '200 a1');
    await served.synced('CDS', 'LDS', 'RDS', 'VHDS');
    await served.replace();
    await served.synced('CDS', 'LDS', 'RDS');
    expect(served.replica.carried()).toEqual([]);
    resources.put('VHDS', host('80', 'a', 'a2')).flush();
    await serves(port, 'a', '200 a2');
  });

  it('send the hosts of each table in a response of its own', async () => {
    const [one, two] = await twoPorts();
    const resources = new Resources()
      .put('LDS', listener('one', one, '80'), listener('two', two, '81'))
      .put('RDS', table('80'), table('81'))
      .put('VHDS', host('80', 'a', 'a1'), host('81', 'a', 'a1'));
    await using served = await Served.start(resources);
    await served.envoy.ready();
    await served.synced('CDS', 'LDS', 'RDS', 'VHDS');
    const mark = served.replica.events.length;
    resources.put('VHDS', host('80', 'a', 'a2'), host('80', 'b', 'b2'), host('81', 'a', 'a2')).flush();
    await serves(one, 'b', '200 b2');
    await serves(two, 'a', '200 a2');
    expect(served.replica.carried(mark).map((e) => e.kind === 'sent' && e.resources)).toEqual([2, 1]);
  });

  it('send the hosts of a table that Envoy claims, when its stream was cut before they came', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('LDS', listener('l', port, '80'))
      .put('RDS', table('80'))
      .put('VHDS', host('80', 'a', 'a1'), host('80', 'b', 'b1'));
    resources.flush();
    await using session = await Session.start();
    const { stream, server, envoy } = session;
    await session.configure([{ ...listener('l', port, '80'), version: resources.version('LDS', 'l') }]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [{ ...table('80'), version: resources.version('RDS', '80') }]);
    await stream.subscription('VHDS');
    await server[Symbol.asyncDispose]();
    await using served = await Served.takeOver(resources, envoy, server.port);
    await serves(port, 'a', '200 a1');
    await serves(port, 'b', '200 b1');
    // What it claimed was true but for the hosts.
    expect(served.replica.carried().flatMap((e) => (e.kind === 'sent' && e.type === 'LDS' ? [e] : []))).toEqual([]);
  });

  it('send the endpoints of a changed cluster after it, changed or not, so that it warms', async () => {
    const resources = new Resources()
      .put('CDS', edsCluster('c1'), edsCluster('c2'))
      .put('EDS', endpoints('c1', [1001]), endpoints('c2', [1002]));
    await using served = await Served.start(resources);
    await served.synced('CDS', 'EDS', 'LDS');
    const mark = served.replica.events.length;
    resources.put('CDS', edsCluster('c1', '2', '2s')).flush();
    await served.synced('CDS');
    expect((await served.envoy.clusterStates()).warming).toEqual({});
    expect(served.replica.carried(mark)).toEqual([
      { kind: 'sent', type: 'CDS', resources: 1, removed: 0 },
      { kind: 'sent', type: 'EDS', resources: 1, removed: 0 },
    ]);
    const dump = JSON.stringify(await served.envoy.configDump('ClustersConfigDump'));
    expect(dump).toContain('"connect_timeout":"2s"');
  });

  it('warm a cluster that changed while Envoy was away', async () => {
    const resources = new Resources().put('CDS', edsCluster('c1')).put('EDS', endpoints('c1', [1001]));
    await using served = await Served.start(resources);
    await served.synced('CDS', 'EDS', 'LDS');
    await served.reconnect(() => resources.put('CDS', edsCluster('c1', '2', '2s')).flush());
    await eventually('c1 is changed and active', async () => {
      const { warming } = await served.envoy.clusterStates();
      return (
        names(warming).length === 0 &&
        JSON.stringify(await served.envoy.configDump('ClustersConfigDump')).includes('"connect_timeout":"2s"')
      );
    });
    expect(served.replica.rejected).toEqual([]);
  });

  it('go on with other clusters while one has no endpoints resource', async () => {
    const resources = new Resources().put('CDS', staticCluster('c1'));
    await using served = await Served.start(resources);
    await served.synced('CDS', 'LDS');
    resources.put('CDS', edsCluster('never')).flush();
    resources.put('CDS', staticCluster('c2')).flush();
    resources.remove('CDS', 'c1').flush();
    await eventually('c2 is there and c1 is not', async () => {
      const { active } = await served.envoy.clusterStates();
      return 'c2' in active && !('c1' in active);
    });
    resources.put('EDS', endpoints('never', [1001])).flush();
    await served.synced('CDS', 'EDS');
    expect((await served.envoy.clusterStates()).warming).toEqual({});
  });

  it('take endpoints away by an empty assignment', async () => {
    const resources = new Resources().put('CDS', edsCluster('c1')).put('EDS', endpoints('c1', [1001]));
    await using served = await Served.start(resources);
    await eventually('there is an endpoint', async () => (await served.envoy.endpoints('c1'))?.length === 1);
    resources.remove('EDS', 'c1').flush();
    await eventually('there is none', async () => (await served.envoy.endpoints('c1'))?.length === 0);
    expect(served.replica.rejected).toEqual([]);
  });

  it('answer secrets before anything of listeners, and change them alone', async () => {
    const port = await freePort();
    const pair = new TestRoot().leaf(['gateway']);
    const tls = { transport_socket: { name: 'tls', typed_config: tlsContext('Upstream', 'default') } };
    const resources = new Resources()
      .put('CDS', staticCluster('c', '1', tls))
      .put('LDS', listener('l', port, 'r', { inline: 'l' }))
      .put('SDS', certificate('default', pair.certificate, pair.key));
    await using served = await Served.start(resources);
    await serves(port, 'x', '200 l');
    await served.synced('CDS', 'LDS', 'SDS');
    const mark = served.replica.events.length;
    const other = new TestRoot().leaf(['gateway']);
    resources.put('SDS', certificate('default', other.certificate, other.key)).flush();
    await served.synced('SDS');
    expect(served.replica.carried(mark)).toEqual([{ kind: 'sent', type: 'SDS', resources: 1, removed: 0 }]);
  });

  it('go back to what was before', async () => {
    const port = await freePort();
    const resources = new Resources().put('LDS', listener('l', port, '80')).put('RDS', routes('80', 'v1'));
    await using served = await Served.start(resources);
    await serves(port, 'x', '200 v1');
    resources.put('RDS', routes('80', 'v2')).flush();
    await serves(port, 'x', '200 v2');
    resources.put('RDS', routes('80', 'v1')).flush();
    await serves(port, 'x', '200 v1');
    expect(served.replica.rejected).toEqual([]);
  });

  it('move a domain from one host to another without losing it', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('LDS', listener('l', port, '80'))
      .put('RDS', table('80'))
      .put('VHDS', host('80', 'a', 'a1'), host('80', 'b', 'b1'));
    await using served = await Served.start(resources);
    await serves(port, 'a', '200 a1');
    const moved = host('80', 'a', 'moved');
    resources
      .remove('VHDS', '80/a')
      .put('VHDS', { ...moved, name: '80/other' })
      .flush();
    await serves(port, 'a', '200 moved');
    expect(served.replica.rejected).toEqual([]);
  });
});

describe('After a NACK', () => {
  needsEnvoy();

  it.each([
    ['a semantic error', (port: number) => listener('bad', port, 'r', { inline: 'bad', filters: [unknownFilter] })],
    [
      'a field that breaks validate.rules',
      (port: number) => {
        const bad = listener('bad', port, 'r', { inline: 'bad' });
        const address = { socket_address: { address: '127.0.0.1', port_value: 99_999 } };
        return { ...bad, json: { ...(bad.json as object), address } };
      },
    ],
  ] as const)('of listeners for %s the rest is in force and the bad one is named and held back', async (_, bad) => {
    const [old, fresh] = await twoPorts();
    const resources = new Resources().put(
      'LDS',
      listener('old', old, 'r', { inline: 'old' }),
      listener('kept', await freePort(), 'r', { inline: 'kept' }),
    );
    await using served = await Served.start(resources);
    await serves(old, 'x', '200 old');
    resources
      .put('LDS', listener('fresh', fresh, 'r', { inline: 'fresh' }), bad(await freePort()))
      .remove('LDS', 'old')
      .flush();
    await serves(fresh, 'x', '200 fresh');
    await eventually('listeners as they should be', async () => (await served.envoy.listeners()).join() === 'fresh,kept');
    const rejected = await served.replica.recorder.next('a NACK', (e) => e.kind === 'rejected');
    expect(rejected).toMatchObject({ type: 'LDS' });
    await eventually('bad is held back', async () =>
      [...served.replica.recorder.streams].some((s) => [...s.types.values()].some((t) => t.heldBack.join() === 'bad')),
    );
    // Nothing goes round and round.
    const refusals = served.replica.rejected.length;
    resources.put('LDS', listener('bad', await freePort(), 'r', { inline: 'good now' })).flush();
    await eventually('it is there once it is good', async () => (await served.envoy.listeners()).includes('bad'));
    expect(served.replica.rejected.length).toBe(refusals);
  });

  it('of hosts, which names none, the suspect is found and the rest is in force', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('LDS', listener('l', port, '80'))
      .put('RDS', table('80', { star: 'none' }))
      .put('VHDS', host('80', 'a', 'a1'), host('80', 'b', 'b1'), host('80', 'gone', 'gone'));
    await using served = await Served.start(resources);
    await serves(port, 'a', '200 a1');
    const regex = { match: { safe_regex: { regex: '(((' } }, direct_response: { status: 200 } };
    resources
      .put('VHDS', host('80', 'a', 'a2'), host('80', 'c', 'c1'), {
        name: '80/bad',
        json: { name: '80/bad', domains: ['bad'], routes: [regex] },
      })
      .remove('VHDS', '80/gone')
      .flush();
    await serves(port, 'a', '200 a2');
    await serves(port, 'c', '200 c1');
    await serves(port, 'gone', '502 none');
    expect(await get(port, 'b')).toBe('200 b1');
    expect(await get(port, 'bad')).toBe('502 none');
    await eventually('bad is held back', async () =>
      [...served.replica.recorder.streams].some((s) => [...s.types.values()].some((t) => t.heldBack.join() === '80/bad')),
    );
  });

  it('going back to what was before the refused change ends it', async () => {
    const port = await freePort();
    const resources = new Resources().put('LDS', listener('l', port, '80')).put('RDS', routes('80', 'v1'));
    await using served = await Served.start(resources);
    await serves(port, 'x', '200 v1');
    const nacked = served.replica.recorder.next('a NACK', (e) => e.kind === 'rejected');
    resources.put('RDS', { name: '80', json: { name: '80', virtual_hosts: [{ name: 'x', domains: [] }] } }).flush();
    expect(await nacked).toMatchObject({ type: 'RDS', names: ['80'] });
    resources.put('RDS', routes('80', 'v1')).flush();
    await served.synced('RDS');
    expect(await get(port, 'x')).toBe('200 v1');
    resources.put('RDS', routes('80', 'v2')).flush();
    await serves(port, 'x', '200 v2');
    expect(served.replica.rejected.length).toBe(1);
  });

  it('a reconnect brings everything right although Envoy claims versions that are wrong', async () => {
    const resources = new Resources().put('CDS', staticCluster('c1'), staticCluster('c2'));
    await using served = await Served.start(resources);
    await served.synced('CDS', 'LDS');
    const noEds = { name: 'bad', json: { name: 'bad', type: 'EDS', connect_timeout: '1s' } };
    const nacked = served.replica.recorder.next('a NACK', (e) => e.kind === 'rejected');
    resources
      .put('CDS', staticCluster('c2', '2', { connect_timeout: '3s' }), staticCluster('c3'), noEds)
      .remove('CDS', 'c1')
      .flush();
    await nacked;
    await served.reconnect(() => resources.remove('CDS', 'bad', 'c3').put('CDS', staticCluster('c1'), staticCluster('c2')).flush());
    await eventually('clusters as they are', async () => names((await served.envoy.clusterStates()).active).join() === 'c1,c2');
    expect(JSON.stringify(await served.envoy.configDump('ClustersConfigDump'))).not.toContain('"connect_timeout":"3s"');
  });
});

describe('SotW streams', () => {
  needsEnvoy();

  it('answer the repeated EDS request of a changed cluster', async () => {
    const resources = new Resources()
      .put('CDS', edsCluster('a'), edsCluster('b'))
      .put('EDS', endpoints('a', [1001]), endpoints('b', [1002]));
    await using served = await Served.start(resources, { protocol: 'sotw' });
    await served.synced('CDS', 'EDS', 'LDS');
    resources.put('CDS', edsCluster('a', '2', '2s')).flush();
    await eventually('a is changed and active', async () => {
      const dump = JSON.stringify(await served.envoy.configDump('ClustersConfigDump'));
      return dump.includes('"connect_timeout":"2s"') && names((await served.envoy.clusterStates()).warming).length === 0;
    });
    expect(served.replica.rejected).toEqual([]);
  });

  it('send whole tables', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('LDS', listener('l', port, '80'))
      .put('RDS', table('80', { star: 'none' }))
      .put('VHDS', host('80', 'a', 'a1'), host('80', 'b', 'b1'));
    await using served = await Served.start(resources, { protocol: 'sotw' });
    await serves(port, 'a', '200 a1');
    expect(await get(port, 'unknown')).toBe('502 none');
    resources
      .put('VHDS', host('80', 'a', 'a2'))
      .remove('VHDS', '80/b')
      .flush();
    await serves(port, 'a', '200 a2');
    await serves(port, 'b', '502 none');
    expect(served.replica.rejected).toEqual([]);
  });

  it('bring what changed while Envoy was away', async () => {
    const port = await freePort();
    const resources = new Resources()
      .put('CDS', edsCluster('c1'), staticCluster('c2'))
      .put('EDS', endpoints('c1', [1001]))
      .put('LDS', listener('l', port, '80'))
      .put('RDS', table('80', { star: 'none' }))
      .put('VHDS', host('80', 'a', 'a1'));
    await using served = await Served.start(resources, { protocol: 'sotw' });
    await serves(port, 'a', '200 a1');
    await served.reconnect(() => {
      resources.put('VHDS', host('80', 'a', 'a2')).put('EDS', endpoints('c1', [1002]));
      resources
        .put('CDS', edsCluster('c1', '2', '2s'), staticCluster('c3'))
        .remove('CDS', 'c2')
        .flush();
    });
    await serves(port, 'a', '200 a2');
    await eventually('clusters as changed', async () => names((await served.envoy.clusterStates()).active).join() === 'c1,c3');
    await eventually('endpoints as changed', async () => (await served.envoy.endpoints('c1'))?.join() === '127.0.0.1:1002');
    expect((await served.envoy.clusterStates()).warming).toEqual({});
    expect(served.replica.rejected).toEqual([]);
  });

  it('leave the rest in force when one resource is refused', async () => {
    const [old, fresh] = await twoPorts();
    const resources = new Resources().put('LDS', listener('old', old, 'r', { inline: 'old' }));
    await using served = await Served.start(resources, { protocol: 'sotw' });
    await serves(old, 'x', '200 old');
    const bad = listener('bad', await freePort(), 'r', { inline: 'bad', filters: [unknownFilter] });
    resources.put('LDS', listener('fresh', fresh, 'r', { inline: 'fresh' }), bad).flush();
    await serves(fresh, 'x', '200 fresh');
    expect(await get(old, 'x')).toBe('200 old');
    expect(served.replica.rejected).toMatchObject([{ type: 'LDS', names: ['bad'] }]);
  });
});
