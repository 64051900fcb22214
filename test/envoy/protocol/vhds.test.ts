/** What stock Envoy does with virtual hosts over delta ADS (VHDS). Each test is one fact that the streams of mizzen rely on. */
import { describe, expect, it } from 'vitest';
import { needsEnvoy } from '../harness/envoy.ts';
import { freePort } from '../harness/ports.ts';
import { host, listener, routes, table } from '../harness/resources.ts';
import { eventually } from '../harness/wait.ts';
import { get, serves, Session, twoPorts } from './session.ts';

describe('VHDS', () => {
  needsEnvoy();

  it('is one wildcard subscription a stream, begun by the first table with vhds; a second and a re-added table cause no request', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const [one, two] = await twoPorts();
    await session.configure([listener('one', one, '80'), listener('two', two, '81')]);
    await stream.subscription('RDS', '80');
    expect(stream.after(0, 'VHDS')).toEqual([]);
    await stream.accept('RDS', [table('80')]);
    // Names nothing, which over delta means everything.
    expect(await stream.subscription('VHDS')).toMatchObject({ names: [], claims: {} });
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    await stream.subscription('RDS', '81');
    const mark = stream.mark;
    await stream.accept('RDS', [table('81')]);
    await stream.accept('VHDS', [host('81', 'b', 'b1')]);
    await serves(two, 'b', '200 b1');

    await stream.accept('LDS', [], ['two']);
    await stream.request('81 is unsubscribed', (r) => r.type === 'RDS' && r.unsubscribed.includes('81'), mark);
    const removed = stream.mark;
    await stream.accept('LDS', [listener('two', two, '81', { version: '2' })]);
    await stream.subscription('RDS', '81', removed);
    await stream.accept('RDS', [table('81')]);
    await stream.accept('VHDS', [host('81', 'b', 'b2')]);
    await serves(two, 'b', '200 b2');
    expect((await envoy.listenerStates())['two']).toHaveProperty('active', '2');
    // Answers to what was sent, and nothing else.
    expect(stream.after(mark, 'VHDS').every((r) => r.nonce !== '' && r.names.length === 0)).toBe(true);
  });

  it('removes a host by its resource name only when VirtualHost.name is the same', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80', { star: 'none' })]);
    await stream.subscription('VHDS');
    const odd = host('80', 'odd', 'odd');
    await stream.accept('VHDS', [host('80', 'even', 'even'), { ...odd, json: { ...odd.json, name: 'odd.default:80' } }]);
    await serves(port, 'even', '200 even');
    await serves(port, 'odd', '200 odd');
    await stream.accept('VHDS', [], ['80/even', '80/odd']);
    await serves(port, 'even', '502 none');
    expect(await get(port, 'odd')).toBe('200 odd');
  });

  it('accepts and drops a host that comes before its table; table and then hosts back to back works', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const [one, two] = await twoPorts();
    await session.configure([listener('one', one, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a1'), host('81', 'early', 'early')]);
    stream.send('LDS', [listener('two', two, '81')]);
    await stream.subscription('RDS', '81');
    stream.send('RDS', [table('81', { star: 'none' })]);
    await stream.accept('VHDS', [host('81', 'late', 'late')]);
    await serves(two, 'late', '200 late');
    expect(await get(two, 'early')).toBe('502 none');
  });

  it('holds the listener back until an answer has a host of the table: an empty answer does not release it', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [table('80')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', []);
    expect((await envoy.listenerStates())['one']).not.toHaveProperty('active');
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    await serves(port, 'a', '200 a1');
  });

  it('releases the listener of a table without hosts on a removal of any name under its prefix', async () => {
    await using session = await Session.start();
    const { stream, envoy } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [table('80', { star: 'none' })]);
    await stream.subscription('VHDS');
    expect((await envoy.listenerStates())['one']).not.toHaveProperty('active');
    await stream.accept('VHDS', [], ['80/-']);
    await envoy.ready();
    await serves(port, 'a', '502 none');
  });

  it('gives up on the hosts of a table after initial_fetch_timeout, which therefore has to be 0', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    await stream.accept('RDS', [table('80', { star: 'none', fetchTimeout: '0.2s' })]);
    await stream.subscription('VHDS');
    await eventually('the listener serves', async () => (await get(port, 'a')) !== '');
    expect(await get(port, 'a')).toBe('502 none');
  });

  it('still claims the hosts of a dropped table after a reconnect, unless each was removed by name', async () => {
    await using session = await Session.start();
    const [one, two] = await twoPorts();
    const { stream } = session;
    await session.configure([listener('one', one, '80'), listener('two', two, '81')]);
    await stream.subscription('RDS', '81');
    stream.send('RDS', [table('80'), table('81')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a'), host('80', 'b', 'b')]);
    await stream.accept('VHDS', [host('81', 'a', 'a'), host('81', 'b', 'b')]);
    const mark = stream.mark;
    stream.send('LDS', [], ['two']);
    await stream.request('81 is unsubscribed', (r) => r.type === 'RDS' && r.unsubscribed.includes('81'), mark);
    await stream.accept('VHDS', [], ['81/a']);
    const again = await session.reconnect();
    expect((await again.subscription('VHDS')).claims).toEqual({ '80/a': '1', '80/b': '1', '81/b': '1' });
  });

  it('stays subscribed when no table is left, and claims for it go on', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a')]);
    stream.send('LDS', [], ['one']);
    await stream.request('80 is unsubscribed', (r) => r.type === 'RDS' && r.unsubscribed.includes('80'));
    expect(stream.requests.filter((r) => r.type === 'VHDS' && r.unsubscribed.length > 0)).toEqual([]);
    const again = await session.reconnect();
    await again.subscription('CDS');
    expect((await again.subscription('VHDS')).claims).toEqual({ '80/a': '1' });
  });

  it('keeps its hosts over an RDS update, serves inline hosts beside them, and ignores the port when told to', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80', { star: 'star1', ignorePort: true })]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    await serves(port, 'a', '200 a1');
    expect(await get(port, 'a:8080')).toBe('200 a1');
    expect(await get(port, 'unknown')).toBe('502 star1');
    await stream.accept('RDS', [table('80', { version: '2', star: 'star2', ignorePort: true })]);
    await serves(port, 'unknown', '502 star2');
    expect(await get(port, 'a')).toBe('200 a1');
  });

  it('drops what changes while a table has only inline hosts, and serves the hosts of before when the table has vhds again', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80', { star: 'star' })]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    await serves(port, 'a', '200 a1');
    await stream.accept('RDS', [routes('80', 'whole', '2')]);
    await serves(port, 'a', '200 whole');
    const mark = stream.mark;
    await stream.accept('VHDS', [host('80', 'a', 'a2', '2'), host('80', 'new', 'new')]);
    await stream.accept('RDS', [table('80', { version: '3', star: 'star' })]);
    await serves(port, 'unknown', '502 star');
    expect(await get(port, 'a')).toBe('200 a1');
    expect(await get(port, 'new')).toBe('502 star');
    expect(stream.after(mark, 'VHDS').filter((r) => r.nonce === '')).toEqual([]);
  });

  it('refuses a whole response for one bad host, without naming it', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80', { star: 'none' })]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    const regex = {
      name: '80/bad-host',
      domains: ['bad'],
      routes: [{ match: { safe_regex: { regex: '(((' } }, direct_response: { status: 200 } }],
    };
    const error = await stream.refuse('VHDS', [
      host('80', 'good', 'good'),
      { name: '80/bad-host', json: regex },
      host('80', 'a', 'a2', '2'),
    ]);
    expect(error).not.toContain('bad-host');
    expect(await get(port, 'good')).toBe('502 none');
    expect(await get(port, 'a')).toBe('200 a1');
    const empty = await stream.refuse('VHDS', [
      host('80', 'good', 'good'),
      { name: '80/bad-host', json: { name: '80/bad-host', domains: [] } },
    ]);
    expect(empty).toContain('Domains');
    expect(await get(port, 'good')).toBe('502 none');
  });

  it('moves a domain from one host to another only within one response', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    const moved = { name: '80/other', json: { ...host('80', 'a', 'moved').json, name: '80/other' } };
    expect(await stream.refuse('VHDS', [moved])).toContain('Only unique values for domains are permitted');
    await serves(port, 'a', '200 a1');
    await stream.accept('VHDS', [{ ...moved, version: '2' }], ['80/a']);
    await serves(port, 'a', '200 moved');
  });

  it('is refused over SotW, where tables have to be whole', async () => {
    await using session = await Session.start({ protocol: 'sotw' });
    const { stream } = session;
    const port = await freePort();
    stream.sendState('CDS', '1', []);
    await stream.subscription('LDS');
    stream.sendState('LDS', '1', [listener('one', port, '80').json]);
    await stream.subscription('RDS', '80');
    const answer = await stream.answer(stream.sendState('RDS', '1', [table('80').json]));
    expect(answer.error).toContain('DELTA_GRPC');
  });

  it('still serves its hosts after a reconnect that resends nothing', async () => {
    await using session = await Session.start();
    const port = await freePort();
    const { stream } = session;
    await session.configure([listener('one', port, '80')]);
    await stream.subscription('RDS', '80');
    stream.send('RDS', [table('80')]);
    await stream.subscription('VHDS');
    await stream.accept('VHDS', [host('80', 'a', 'a1')]);
    await serves(port, 'a', '200 a1');
    const again = await session.reconnect();
    await again.subscription('VHDS');
    expect((await again.subscription('RDS')).claims).toEqual({ '80': '1' });
    expect(await get(port, 'a')).toBe('200 a1');
  });
});
