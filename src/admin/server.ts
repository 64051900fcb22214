/** HTTP of the daemon: metrics and debugging on the monitoring port, readiness on the other. */
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Registry } from 'prom-client';
import { Exposition } from './exposition.ts';
import { askedObjects, type ConvergencePage } from './convergence.ts';
import { debugIndex, type IndexedPage } from './debug-index.ts';
import { debugPages, type DebugPage } from './debug-pages.ts';
import { logScopes, parseLevel, parseScope, type Log } from './log.ts';
import { isLocalHostHeader, isLoopback } from './loopback.ts';
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
  /** Absent: there is nothing to ask. */
  readonly convergence?: ConvergencePage;
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
  // `istioctl version` asks for `//version`.
  const app = fastify({ ...limits, routerOptions: { ignoreDuplicateSlashes: true } });
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
  app.get('/version', async (request, reply) => {
    if (request.headers.accept?.includes('application/json') === true) return options.version;
    // istiod's form: version, revision and state of the tree.
    return reply.type('text/plain; charset=utf-8').send(`${options.version.version}-unknown-unknown`);
  });
  const pages = debugPages(views);
  if (options.convergence !== undefined) convergenceRoutes(app, options.convergence, log);

  void app.register(async (local) => {
    local.addHook('onRequest', async (request, reply) => refuseStrangers(request, reply, log));
    local.get('/debug', async (_request, reply) => html(reply, debugIndex([...pages.map(indexed), ...otherPages])));
    for (const page of pages) {
      local.get(`/debug/${page.name}`, async (request, reply) => {
        const query = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
        const { status, body } = await page.answer({ query });
        return json(reply.code(status), body, query);
      });
    }
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

/** For callers on this machine, and for the other replicas: what one of them knows of its own proxies the leader needs. */
function convergenceRoutes(app: FastifyInstance, page: ConvergencePage, log: Log): void {
  void app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      if (!page.isPeer(request.ip)) await refuseStrangers(request, reply, log);
    });
    scope.get('/debug/convergence', async (request, reply) => {
      const query = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
      const objects = askedObjects(query);
      if ('error' in objects) return json(reply.code(400), objects, query);
      return json(reply, await page.answer(objects, query.get('peers') === 'false'), query);
    });
    scope.get('/debug/convergence/refused', async (_request, reply) => json(reply, page.refused(), new URLSearchParams()));
  });
}

function indexed({ name, query = '', what }: DebugPage): IndexedPage {
  return { path: `/debug/${name}${query}`, what };
}

const otherPages: readonly IndexedPage[] = [
  { path: '/debug/convergence?object=KIND/NAMESPACE/NAME', what: 'which proxies have the last change of an object, and which lag' },
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
function json(reply: FastifyReply, value: unknown, query: URLSearchParams): FastifyReply {
  return reply.type('application/json').send(JSON.stringify(value, null, query.has('pretty') ? 2 : 0));
}

function html(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
    .send(text);
}
