import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ServerCredentials, type Server } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { Listener } from './listener.ts';

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** A server that only says which connections it is given. */
function serverGiven(given: (socket: Socket) => void): Server {
  const injector = { injectConnection: given, drain: () => undefined, destroy: () => undefined };
  return { createConnectionInjector: () => injector } as unknown as Server;
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

test('of the connections that come at once some are begun in each turn of the event loop, in their order', async () => {
  const perTurn: number[] = [];
  const peers: (number | undefined)[] = [];
  let inTurn = 0;
  const all = Promise.withResolvers<void>();
  const server = serverGiven((socket) => {
    if (inTurn++ === 0) {
      setImmediate(() => {
        perTurn.push(inTurn);
        inTurn = 0;
      });
    }
    sockets.push(socket);
    if (peers.push(socket.remotePort) === 60) all.resolve();
  });
  const options = { credentials: ServerCredentials.createInsecure(), host: '127.0.0.1', port: 0 };
  const listener = await Listener.listen(server, options);
  const clients = await Promise.all(Array.from({ length: 60 }, () => open(listener.port)));
  await all.promise;
  await new Promise((resolve) => setImmediate(resolve));
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(10);
  expect(perTurn.reduce((a, b) => a + b)).toBe(60);
  expect(new Set(peers)).toEqual(new Set(clients.map((client) => client.localPort)));
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener.close(0);
});

test('a connection that waits for its turn while the listener is closed is broken', async () => {
  let given = 0;
  const server = serverGiven(() => given++);
  const listener = await Listener.listen(server, {
    credentials: ServerCredentials.createInsecure(),
    host: '127.0.0.1',
    port: 0,
    accepts: () => {
      closed ??= listener.close(1000);
      return true;
    },
  });
  let closed: Promise<void> | undefined;
  const client = await open(listener.port);
  await once(client.resume(), 'close');
  await closed;
  expect(given).toBe(0);
});
