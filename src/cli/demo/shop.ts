/**
 * The bookshop's services: `page` calls `details` and `reviews`, `reviews` v2 and v3 call `ratings`. Each answers JSON that tells its version and who
 * called it, as its sidecar has proven (`x-forwarded-client-cert`).
 */
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';

export interface ShopService {
  readonly role: string;
  readonly version: string;
  /** Where it listens; its sidecar forwards to it. */
  readonly address: string;
  readonly port: number;
  /** The sidecar's outbound listener; absent for one that calls nobody. */
  readonly egress?: { readonly address: string; readonly port: number };
}

export interface Answer {
  readonly service: string;
  readonly version: string;
  /** SPIFFE id of the caller; empty when the request did not come over mutual TLS. */
  readonly caller: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Headers that belong to a trace and travel from request to request. */
const traceHeaders = ['x-request-id', 'traceparent', 'tracestate', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-sampled'];

/** Answers are a few hundred bytes; anything much longer is not one of ours. */
const maxAnswerBytes = 64 * 1024;

class CallFailed extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Starts the service; the returned server is listening. */
export async function startShopService(service: ShopService): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const headers = Object.fromEntries(
      traceHeaders.flatMap((name) => (incoming.headers[name] === undefined ? [] : [[name, incoming.headers[name]]])),
    );
    const call = (host: string): Promise<Answer> => callService(service, host, headers);
    void respond(service, call).then(
      (body) => {
        const answer: Answer = { service: service.role, version: service.version, caller: callerOf(incoming), body };
        outgoing.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`);
      },
      (cause: Error) => {
        outgoing
          .writeHead(cause instanceof CallFailed ? cause.status : 500, { 'content-type': 'text/plain' })
          .end(`${service.role} ${service.version}: ${cause.message}\n`);
      },
    );
  });
  server.listen(service.port, service.address);
  await once(server, 'listening');
  return server;
}

type Call = (host: string) => Promise<Answer>;

async function respond(service: ShopService, call: Call): Promise<Record<string, unknown>> {
  switch (service.role) {
    case 'page': {
      const [details, reviews] = await Promise.all([call('details'), call('reviews')]);
      return { details, reviews };
    }
    case 'details':
      return { title: 'The Comedy of Errors', author: 'William Shakespeare', year: 1595, pages: 200 };
    case 'reviews': {
      const texts = ['An extremely entertaining play.', 'Absolutely fun, with a hint of chaos.'];
      if (service.version === 'v1') return { texts };
      return { texts, stars: service.version === 'v2' ? 'black' : 'red', ratings: await call('ratings') };
    }
    case 'ratings':
      return { stars: [5, 4] };
    default:
      throw new Error(`the bookshop has no service ${service.role}`);
  }
}

/** GET through the sidecar's outbound listener, which routes by the Host header. */
async function callService(from: ShopService, host: string, headers: Readonly<Record<string, unknown>>): Promise<Answer> {
  if (from.egress === undefined) throw new Error(`${from.role} has no way out`);
  const outgoing = request({
    host: from.egress.address,
    port: from.egress.port,
    path: '/',
    headers: { ...headers, host: `${host}:9080` },
    timeout: 10_000,
  });
  outgoing.on('timeout', () => outgoing.destroy(new Error(`${host} did not answer within 10 s`)));
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const text = await readText(response);
  if (response.statusCode !== 200) throw new CallFailed(502, `${host} answered ${String(response.statusCode)}: ${text.trim()}`);
  return JSON.parse(text) as Answer;
}

export async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The URI of the caller's certificate, which the sidecar has verified and appended last. */
function callerOf(incoming: IncomingMessage): string {
  const header = incoming.headers['x-forwarded-client-cert'];
  const last = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').at(-1) ?? '';
  return /(?:^|;)URI=([^;]+)/.exec(last)?.[1] ?? '';
}
