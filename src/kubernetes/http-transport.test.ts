import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { HttpTransport } from './http-transport.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function answering(date: string | undefined): Promise<HttpTransport> {
  const server = createServer((_request, response) => {
    response.sendDate = false;
    response.writeHead(403, date === undefined ? {} : { date }).end('{"kind":"Status"}');
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return new HttpTransport({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

test.each([
  ['Sat, 21 Nov 2026 18:30:00 GMT', Date.UTC(2026, 10, 21, 18, 30)],
  ['yesterday', undefined],
  [undefined, undefined],
])('an answer, also a refusal, tells what time it is by the server: %s', async (date, dateMs) => {
  const transport = await answering(date);
  const answer = await transport.request({ method: 'GET', path: '/version' }, new AbortController().signal);
  expect(answer).toEqual({ status: 403, body: { kind: 'Status' }, ...(dateMs !== undefined && { dateMs }) });
});
