/** Whatever happens to credentials, connections and Secrets: nothing that is there is ever told as gone, and in the end the sink has what the cluster has. */
import { expect, it } from 'vitest';
import { HttpTransport } from '../../kubernetes/http-transport.ts';
import { FakeApiServer } from '../../kubernetes/testing/fake-api-server.ts';
import { RecordingSink } from '../testing/recording-sink.ts';
import { ClustersSource } from './clusters-source.ts';

const services = '/api/v1/services';
const secrets = '/api/v1/namespaces/istio-system/secrets';

it.each([1, 2, 3, 4])('seed %i', async (seed) => {
  let state = seed * 7919;
  // Its upper bits: the lower ones of such a generator repeat soon.
  const next = (below: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  const config = new FakeApiServer();
  const east = new FakeApiServer();
  const valid = new Set(['token-0']);
  east.intercept = (request, response) => {
    if (valid.has((request.headers.authorization ?? '').slice('Bearer '.length))) return false;
    response.writeHead(401, { 'content-type': 'application/json' }).end('{}');
    return true;
  };
  const server = await east.listen();
  /** Time for others to get on, in exchanges with the server. */
  const questions = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) await fetch(server).catch(() => undefined); // Cut.
  };
  let tokens = 0;
  const write = (text: string): void => {
    const data = { east: Buffer.from(text).toString('base64') };
    config.put(secrets, 'istio-system', 'east', undefined, { type: 'Opaque', data });
  };
  const kubeconfig = (token: string): string =>
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server } }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    });
  const rotate = (): void => {
    const token = `token-${++tokens}`;
    valid.add(token);
    write(kubeconfig(token));
  };
  write(kubeconfig('token-0'));

  const sink = new RecordingSink();
  const spurious: string[] = [];
  const source = new ClustersSource({
    local: {
      transport: new HttpTransport({ server: await config.listen() }),
      limits: { absentMs: 5, pageSize: 3 },
      backoff: { firstMs: 1, maxMs: 5 },
    },
    clusterId: 'home',
    remoteTimeoutMs: 2_000,
    wallClock: () => 0,
  });
  const stop = new AbortController();
  const running = source.run(
    {
      apply: (change) => {
        for (const key of change.deletes) {
          const name = /^Service\/shop\/(.+)@east$/.exec(key)?.[1];
          if (name !== undefined && east.objects(services).has(`shop/${name}`)) spurious.push(name);
        }
        sink.apply(change);
      },
    },
    stop.signal,
  );
  await source.ready;

  for (let step = 0; step < 150; step++) {
    const name = `s${next(12)}`;
    // A name comes back after it has gone for good only: what is told late of the one that has gone is not spurious.
    switch (next(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        east.put(services, 'shop', `${name}-${step}`, { ports: [{ port: 80 }] });
        break;
      case 4: {
        const [key] = east.objects(services).keys();
        if (key !== undefined) east.delete(services, 'shop', key.slice('shop/'.length));
        break;
      }
      case 5:
        east.cut();
        break;
      case 6:
        rotate();
        break;
      case 7:
        // The old ones end, perhaps before the new one is in use.
        rotate();
        for (const token of [...valid].slice(0, -1)) valid.delete(token);
        east.cut();
        break;
      case 8:
        write('users: [');
        break;
      case 9:
        valid.clear();
        east.cut();
        break;
      case 10:
        east.compact();
        break;
      default:
        await questions(10);
    }
    await questions(next(4));
  }
  rotate();
  const expected = [...east.objects(services).keys()]
    .map((key) => `Service/${key}@east`)
    .sort()
    .join();
  await sink.until(() => sink.keys.filter((key) => key.startsWith('Service/')).join() === expected);
  await sink.until(({ problems }) => problems.every(({ reason }) => reason !== 'Unreachable'));
  expect(spurious).toEqual([]);
  expect(source.clusters()).toMatchObject([{ id: 'east', syncStatus: 'synced' }]);

  stop.abort();
  await running;
  await Promise.all([config.close(), east.close()]);
});
