/**
 * The applications of one pod: `node serve.ts '{"apps": [...]}'`. Prints one line of JSON when all of them listen, serves until its
 * standard input closes.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { WebSocketServer } from 'ws';
import { type App, echoService, type Fault, type HttpApp, type HttpEcho } from './protocol.ts';

const { apps } = JSON.parse(process.argv[2] ?? '{}') as { apps: App[] };

async function serve(app: App): Promise<() => void> {
  switch (app.kind) {
    case 'http':
      return serveHttp(app);
    case 'tcp-echo':
      return listening(
        createTcpServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket)),
        app,
      );
    case 'tcp-greeting':
      return listening(
        createTcpServer((socket) => socket.on('error', () => socket.destroy()).end(app.greeting)),
        app,
      );
    case 'grpc':
      return serveGrpc(app.port, app.address);
  }
}

function listening(server: TcpServer, { port, address = '0.0.0.0' }: App): Promise<() => void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => resolve(() => server.close()));
  });
}

/** HTTP/1.1 echo, with WebSocket echo on an upgrade. `/fault` changes how it answers from then on. */
async function serveHttp(app: HttpApp): Promise<() => void> {
  let fault: Fault = app.fault ?? { kind: 'none' };
  let count = 0;
  const server = createHttpServer({ keepAlive: true, keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.method === 'PUT' && request.url === '/fault') {
      readBody(request).then(
        (body) => {
          fault = JSON.parse(body) as Fault;
          count = 0;
          response.end();
        },
        () => response.destroy(),
      );
      return;
    }
    count++;
    answer(app, request, response, fault, count).catch(() => response.destroy());
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  return listening(server, app);
}

async function answer(app: HttpApp, request: IncomingMessage, response: ServerResponse, fault: Fault, count: number): Promise<void> {
  const body = await readBody(request);
  if (fault.kind === 'slow') await delay(fault.delayMs);
  if (fault.kind === 'reset') {
    request.socket.resetAndDestroy();
    return;
  }
  const failing = fault.kind === 'status' && (count - 1) % fault.every === 0;
  const echo: HttpEcho = {
    version: app.version,
    method: request.method ?? '',
    path: request.url ?? '',
    headers: request.headers,
    peer: request.socket.remoteAddress ?? '',
    count,
    body,
  };
  response.writeHead(failing ? fault.status : 200, { 'content-type': 'application/json', 'x-version': app.version });
  response.end(JSON.stringify(echo));
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    body += chunk;
    if (body.length > 1 << 20) throw new Error('body above 1 MiB');
  }
  return body;
}

function serveGrpc(port: number, address = '0.0.0.0'): Promise<() => void> {
  const server = new GrpcServer();
  server.addService(echoService, {
    unary: (call: { request: Buffer }, reply: (fault: null, value: Buffer) => void) => reply(null, call.request),
    stream: (call: NodeJS.ReadWriteStream) => {
      call.on('data', (message: Buffer) => call.write(message));
      call.on('end', () => call.end());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(`${address}:${port}`, ServerCredentials.createInsecure(), (fault) => {
      if (fault === null) resolve(() => server.forceShutdown());
      else reject(fault);
    });
  });
}

await Promise.all(apps.map(serve));
process.stdout.write(`${JSON.stringify({ listening: apps.map((app) => app.port) })}\n`);
process.stdin.resume().once('end', () => process.exit(0));
