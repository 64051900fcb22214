/** A client in a pod: tasks come as lines of JSON on standard input, results go out as lines of JSON. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { TLSSocket } from 'node:tls';
import { credentials, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import { echoService, type Task, type TaskAnswer, type TaskResult, type TlsOptions } from './protocol.ts';

type Of<K extends Task['kind']> = Extract<Task, { readonly kind: K }>;

function http(task: Of<'http'>): Promise<TaskAnswer> {
  const { address, port, path, method, headers, tls, timeoutMs } = task;
  const options = { host: address, port, path, method, headers, agent: false, ...(tls === undefined ? {} : tlsOptions(tls)) };
  return new Promise((resolve, reject) => {
    const outgoing = (tls === undefined ? httpRequest : httpsRequest)(options, (incoming) => {
      const serial = tls === undefined ? undefined : (incoming.socket as TLSSocket).getPeerCertificate().serialNumber;
      let body = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body, ...(serial === undefined ? {} : { serial }) }),
      );
    });
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error('timeout')));
    outgoing.on('error', reject);
    outgoing.end();
  });
}

function tlsOptions({ root, serverName, certificate, key, alpn }: TlsOptions): object {
  return {
    rejectUnauthorized: root !== undefined,
    // A mesh certificate names a service account, not a host: the root is checked, the name is not.
    checkServerIdentity: () => undefined,
    ...(root === undefined ? {} : { ca: root }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(certificate === undefined ? {} : { cert: certificate, key }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
  };
}

function tcp({ address, port, data, until, timeoutMs }: Of<'tcp'>): Promise<TaskAnswer> {
  return new Promise((resolve, reject) => {
    let body = '';
    const socket = connect(port, address, () => data !== '' && socket.write(data));
    const finish = (): void => {
      resolve({ status: 0, headers: {}, body });
      socket.destroy();
    };
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('timeout')));
    socket.setEncoding('utf8').on('data', (chunk) => {
      body += String(chunk);
      if (body.length >= until) finish();
    });
    socket.on('error', reject);
    socket.on('end', finish);
  });
}

function websocket({ address, port, host, message, timeoutMs }: Of<'websocket'>): Promise<TaskAnswer> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${address}:${port}/`, { headers: { host }, handshakeTimeout: timeoutMs });
    socket.on('open', () => socket.send(message));
    socket.on('message', (data) => {
      resolve({ status: 101, headers: {}, body: (data as Buffer).toString('utf8') });
      socket.close();
    });
    socket.on('error', reject);
  });
}

const EchoClient = makeGenericClientConstructor(echoService, 'echo');

function grpc({ address, port, host, message, timeoutMs }: Of<'grpc'>): Promise<TaskAnswer> {
  const client = new EchoClient(`${address}:${port}`, credentials.createInsecure(), { 'grpc.default_authority': host });
  return new Promise<TaskAnswer>((resolve, reject) => {
    const deadline = Date.now() + timeoutMs;
    const reply = (fault: ServiceError | null, value?: Buffer): void => {
      if (fault === null) resolve({ status: 0, headers: {}, body: value?.toString('utf8') ?? '' });
      else reject(new Error(`grpc status ${fault.code}: ${fault.details}`));
    };
    client.makeUnaryRequest(
      echoService.unary.path,
      echoService.unary.requestSerialize,
      echoService.unary.responseDeserialize,
      Buffer.from(message),
      { deadline },
      reply,
    );
  }).finally(() => client.close());
}

function perform(task: Task): Promise<TaskAnswer> {
  switch (task.kind) {
    case 'http':
      return http(task);
    case 'tcp':
      return tcp(task);
    case 'websocket':
      return websocket(task);
    case 'grpc':
      return grpc(task);
  }
}

const print = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { id, task } = JSON.parse(line) as { id: number; task: Task };
  perform(task).then(
    (answer) => print({ id, answer } satisfies TaskResult),
    (fault: NodeJS.ErrnoException) => print({ id, fault: fault.code ?? fault.message } satisfies TaskResult),
  );
});
lines.on('close', () => process.exit(0));
print({ ready: true });
