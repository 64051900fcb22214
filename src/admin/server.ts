/** HTTP of the daemon: metrics and debugging on the monitoring port, readiness on the other. */
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Registry } from 'prom-client';
import { Exposition } from './exposition.ts';
import { debugIndex, type DebugPage } from './debug-index.ts';
import { logScopes, parseLevel, parseScope, type Log } from './log.ts';
import { isLocalHostHeader, isLoopback } from './loopback.ts';
import { findStream } from './streams.ts';
import { syncStatus } from './syncz.ts';
import type { AdminViews } from './views.ts';

export interface Version {
  readonly version: string;
  readonly node: string;
  readonly envoy: string;
}

export interface MonitoringOptions {
  readonly views: AdminViews;
  readonly metrics: Registry;
  /** A scraper that has not taken the answer by then is cut off. Default 30 s. */
  readonly scrapeLimitMs?: number;
  readonly log: Log;
  readonly version: Version;
}

/** Nothing that is asked here has a body but a level, and no answer takes long to make. */
const limits = {
  bodyLimit: 4096,
  requestTimeout: 10_000,
  connectionTimeout: 30_000,
  keepAliveTimeout: 30_000,
} as const;

const maxConnections = 256;

function limitedServer(): FastifyInstance {
  const app = fastify(limits);
  app.server.maxConnections = maxConnections;
  return app;
}

/** `/metrics` and `/version` for everybody, `/debug` and `/scopez` for callers on this machine. Not yet listening. */
export function monitoringServer(options: MonitoringOptions): FastifyInstance {
  const { views, metrics, log } = options;
  const app = limitedServer();
  const exposition = new Exposition(metrics);
  app.get('/metrics', async (request, reply) => {
    const { body, encoding } = await exposition.answer(request.headers['accept-encoding']);
    const { socket } = reply.raw;
    // What a scraper has not taken by then it does not take before its own time is up either.
    const late = setTimeout(() => socket?.destroy(), options.scrapeLimitMs ?? 30_000);
    reply.raw.once('close', () => clearTimeout(late));
    void reply.type(exposition.contentType).header('vary', 'accept-encoding');
    if (encoding !== undefined) void reply.header('content-encoding', encoding);
    return body;
  });
  app.get('/version', async () => options.version);

  void app.register(async (local) => {
    local.addHook('onRequest', async (request, reply) => refuseStrangers(request, reply, log));
    local.get('/debug', async (_request, reply) => html(reply, debugIndex(pages)));
    local.get('/debug/syncz', async (request, reply) => json(request, reply, views.streams().map(syncStatus)));
    local.get('/debug/registryz', async (request, reply) => json(request, reply, views.services()));
    local.get('/debug/endpointz', async (request, reply) => json(request, reply, views.endpoints()));
    local.get('/debug/problems', async (request, reply) => json(request, reply, views.problems()));
    local.get('/debug/replicas', async (request, reply) => json(request, reply, views.replicas()));
    local.get('/debug/config_dump', async (request, reply) => {
      const proxy = query(request, 'proxyID');
      if (proxy === undefined)
        return reply.code(400).send({ error: 'say which proxy: ?proxyID=name.namespace, or a connection id from /debug/syncz' });
      const stream = findStream(views.streams(), proxy);
      const dump = stream === undefined ? undefined : await views.dump(stream.subscription.connectionId);
      if (dump === undefined) return reply.code(404).send({ error: `no proxy "${proxy}" is connected; /debug/syncz lists those that are` });
      return json(request, reply, dump);
    });
    local.get('/scopez', async () => log.levels());
    local.put<{ Body: unknown }>('/scopez', async (request, reply) => {
      try {
        setLevels(log, request.body);
      } catch (cause) {
        return reply.code(400).send({ error: (cause as Error).message });
      }
      return log.levels();
    });
  });
  return app;
}

/** `/ready`: 200 while `notReady` gives nothing, else 503 with the reasons that it gives. Not yet listening. */
export function readinessServer(notReady: () => readonly string[] | undefined): FastifyInstance {
  const app = limitedServer();
  app.get('/ready', async (_request, reply) => {
    const reasons = notReady();
    void reply.type('text/plain; charset=utf-8').code(reasons === undefined ? 200 : 503);
    return reasons === undefined ? 'ready\n' : ['not ready', ...reasons, ''].join('\n');
  });
  return app;
}

const pages: readonly DebugPage[] = [
  { path: '/debug/syncz', what: 'connected proxies: what each was sent, has accepted or rejected, by type' },
  { path: '/debug/registryz', what: 'services of the mesh' },
  { path: '/debug/endpointz', what: 'endpoints by service' },
  { path: '/debug/config_dump?proxyID=NAME.NAMESPACE', what: "a proxy's configuration as Envoy's own dump has it, private keys left out" },
  { path: '/debug/replicas', what: 'the replicas of this control plane, how many proxies each serves, and who leads' },
  { path: '/debug/problems', what: 'what is wrong with objects: file, line, path and what to do' },
  { path: '/scopez', what: `levels of the log scopes (${Object.keys(logScopes).join(', ')}); PUT {"ads": "debug"} changes them` },
  { path: '/metrics', what: 'Prometheus metrics' },
  { path: '/version', what: 'version of the program' },
];

/** The debug API shows configuration of all namespaces: callers elsewhere are refused. */
async function refuseStrangers(request: FastifyRequest, reply: FastifyReply, log: Log): Promise<void> {
  const host = request.headers.host;
  if (isLoopback(request.ip) && isLocalHostHeader(host)) return;
  log.scope('admin').warn({ caller: request.ip, host, path: request.url }, 'debug request refused');
  await reply.code(403).send({
    error: 'this is for callers on the same machine; use kubectl port-forward or exec, and an IP address or localhost in the URL',
  });
}

function setLevels(log: Log, body: unknown): void {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new Error('send a JSON object such as {"ads": "debug"}');
  // All are checked before one is changed.
  const changes = Object.entries(body).map(([scope, level]) => [parseScope(scope), parseLevel(String(level))] as const);
  for (const [scope, level] of changes) log.setLevel(scope, level);
}

/** Indented on `?pretty`. */
function json(request: FastifyRequest, reply: FastifyReply, value: unknown): FastifyReply {
  return reply.type('application/json').send(JSON.stringify(value, null, query(request, 'pretty') === undefined ? 0 : 2));
}

function html(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
    .send(text);
}

function query(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'string' ? value : undefined;
}
