/** What stock Envoy does when virtual hosts and clusters are fetched with the first request for them (filter `on_demand`). */
import { describe, expect, it } from 'vitest';
import { needsEnvoy } from '../harness/envoy.ts';
import { http } from '../harness/http.ts';
import { freePort } from '../harness/ports.ts';
import { host, listener, staticCluster, table } from '../harness/resources.ts';
import { get, serves, Session } from './session.ts';

const ads = { ads: {}, resource_api_version: 'V3' };
const onDemand = {
  name: 'on_demand',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand' },
};

/** A listener whose table has no host yet. */
async function lazy(star?: string): Promise<{ readonly session: Session; readonly port: number }> {
  const session = await Session.start();
  const port = await freePort();
  await session.configure([listener('l', port, '80', { filters: [onDemand] })]);
  await session.stream.subscription('RDS', '80');
  session.stream.send('RDS', [table('80', { ignorePort: true, ...(star === undefined ? {} : { star }) })]);
  await session.stream.subscription('VHDS');
  await session.stream.accept('VHDS', [], ['80/-']);
  await session.envoy.ready();
  return { session, port };
}

/** The answer, or the message of the fault. */
function outcome(answer: Promise<string>): Promise<string> {
  return answer.catch((fault: unknown) => (fault as Error).message);
}

describe('On demand', () => {
  needsEnvoy();

  it('a host is asked for by the name in the request, port included, and served under its alias', async () => {
    const { session, port } = await lazy();
    await using _ = session;
    const { stream } = session;
    const answer = get(port, 'reviews:8080');
    await stream.subscription('VHDS', '80/reviews:8080');
    stream.send('VHDS', [{ ...host('80', 'reviews', 'reviews'), aliases: ['80/reviews:8080'] }]);
    expect(await answer).toBe('200 reviews');
    // The port is ignored from now on: no further question.
    const mark = stream.mark;
    expect(await get(port, 'reviews:9090')).toBe('200 reviews');
    expect(stream.after(mark, 'VHDS').flatMap((r) => r.names)).toEqual([]);
  });

  it('nothing is asked for when the table has a host *', async () => {
    const { session, port } = await lazy('star');
    await using _ = session;
    const mark = session.stream.mark;
    expect(await get(port, 'reviews')).toBe('502 star');
    expect(session.stream.after(mark, 'VHDS').flatMap((r) => r.names)).toEqual([]);
  });

  it('an unknown host hangs: a removal of its name is ignored, and a resource without a body refused', async () => {
    const { session, port } = await lazy();
    await using _ = session;
    const { stream } = session;
    const removed = outcome(get(port, 'unknown', '/', 700));
    await stream.subscription('VHDS', '80/unknown');
    await stream.accept('VHDS', [], ['80/unknown']);
    expect(await removed).toBe('no answer within 700 ms');
    const empty = outcome(get(port, 'empty', '/', 700));
    await stream.subscription('VHDS', '80/empty');
    expect(await stream.refuse('VHDS', [{ name: '80/empty' }])).not.toBe('');
    expect(await empty).toBe('no answer within 700 ms');
    // What does help: a virtual host that says no.
    const answer = get(port, 'refused');
    await stream.subscription('VHDS', '80/refused');
    stream.send('VHDS', [{ ...host('80', 'refused', 'no such host'), aliases: ['80/refused'] }]);
    expect(await answer).toBe('200 no such host');
  });

  it('a name that was answered once is never asked for again, not even when its host is gone: then it is answered with 404', async () => {
    const { session, port } = await lazy();
    await using _ = session;
    const { stream } = session;
    const answer = get(port, 'reviews');
    await stream.subscription('VHDS', '80/reviews');
    stream.send('VHDS', [{ ...host('80', 'reviews', 'reviews'), aliases: ['80/reviews'] }]);
    expect(await answer).toBe('200 reviews');
    await stream.accept('VHDS', [], ['80/reviews']);
    await serves(port, 'reviews', '404');
    const mark = stream.mark;
    expect(await get(port, 'reviews')).toBe('404');
    expect(stream.after(mark, 'VHDS').flatMap((r) => r.names)).toEqual([]);
    // So there has to be another host for it.
    await stream.accept('VHDS', [host('80', 'reviews', 'no longer')]);
    await serves(port, 'reviews', '200 no longer');
  });

  it('a request with a body waits too', async () => {
    const { session, port } = await lazy();
    await using _ = session;
    const { stream } = session;
    const answer = http({ port, host: 'reviews', method: 'POST', body: 'x'.repeat(100_000) });
    await stream.subscription('VHDS', '80/reviews');
    stream.send('VHDS', [{ ...host('80', 'reviews', 'reviews'), aliases: ['80/reviews'] }]);
    expect(await answer).toMatchObject({ status: 200, body: 'reviews' });
  });

  it('a stream that has asked for names after * goes on with both after a reconnect', async () => {
    const { session, port } = await lazy();
    await using _ = session;
    const { stream } = session;
    const answer = get(port, 'reviews');
    await stream.subscription('VHDS', '80/reviews');
    stream.send('VHDS', [{ ...host('80', 'reviews', 'reviews'), aliases: ['80/reviews'] }]);
    expect(await answer).toBe('200 reviews');
    const again = await session.reconnect();
    const subscription = await again.subscription('VHDS');
    expect(subscription.names.toSorted()).toEqual(['*', '80/reviews']);
    expect(subscription.claims).toEqual({ '80/reviews': '1' });
    expect(await get(port, 'reviews')).toBe('200 reviews');
  });

  it('a cluster is asked for with the first request that is routed to it (odcds over ads)', async () => {
    await using session = await Session.start();
    const { stream } = session;
    const port = await freePort();
    const odcds = {
      name: 'on_demand',
      typed_config: { ...onDemand.typed_config, odcds: { source: ads, timeout: '5s' } },
    };
    await session.configure([listener('l', port, '80', { filters: [odcds] })]);
    await stream.subscription('RDS', '80');
    const route = { match: { prefix: '/' }, route: { cluster: 'lazy' } };
    await stream.accept('RDS', [{ name: '80', json: { name: '80', virtual_hosts: [{ name: 'x', domains: ['*'], routes: [route] }] } }]);
    const mark = stream.mark;
    const answer = get(port, 'x');
    expect((await stream.subscription('CDS', 'lazy', mark)).names).toEqual(['lazy']);
    await stream.accept('CDS', [staticCluster('lazy')]);
    expect(await answer).toContain('503 no healthy upstream');
    await serves(port, 'x', '503 no healthy upstream');
  });
});
