/** A small API server for tests: one collection with versions, pages, bookmarks, a compacted past, and faults on demand. Plain HTTP on a loopback port. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeObject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion: string };
  readonly spec: unknown;
}

interface HistoryEvent {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakeObject;
}

interface Watcher {
  readonly url: URL;
  readonly response: ServerResponse;
  readonly path: string;
}

export class FakeApiServer {
  readonly #server: Server;
  readonly #sockets = new Set<{ destroy(): unknown }>();
  readonly #watchers = new Set<Watcher>();
  readonly #objects = new Map<string, Map<string, FakeObject>>();
  readonly #history = new Map<string, HistoryEvent[]>();
  #version = 100;
  #compacted = 0;
  /** Counts by `list` and `watch`. */
  readonly requests = { list: 0, watch: 0, pages: 0 };
  /** Answers every list and watch so, as long as it is set. */
  refuse: number | undefined;
  /** Answers anything before the collections do; true: it was answered. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Cuts what a watch writes into chunks of so many bytes. */
  chunkBytes = 0;
  /** A resumed watch repeats so many of the events before its version. */
  repeat = 0;
  /** The queries of all requests, for assertions. */
  readonly queries: URL[] = [];

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get version(): string {
    return String(this.#version);
  }

  get watching(): number {
    return this.#watchers.size;
  }

  async close(): Promise<void> {
    // One that was accepted at this moment would stay for as long as its client keeps it.
    this.#server.on('connection', (socket) => socket.destroy());
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Breaks all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  put(path: string, namespace: string, name: string, spec: unknown, extra: object = {}): FakeObject {
    const objects = this.#collection(path);
    const key = `${namespace}/${name}`;
    const type = objects.has(key) ? 'MODIFIED' : 'ADDED';
    const object: FakeObject = {
      ...extra,
      metadata: { ...metadataOf(extra), name, namespace, resourceVersion: String(++this.#version) },
      spec,
    };
    objects.set(key, object);
    this.#happened(path, { version: this.#version, type, object });
    return object;
  }

  delete(path: string, namespace: string, name: string): void {
    const objects = this.#collection(path);
    const key = `${namespace}/${name}`;
    const object = objects.get(key);
    if (object === undefined) return;
    objects.delete(key);
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.#happened(path, { version: this.#version, type: 'DELETED', object: last });
  }

  objects(path: string): ReadonlyMap<string, FakeObject> {
    return this.#collection(path);
  }

  /** Forgets the past: watches and pages of earlier versions get 410. */
  compact(): void {
    this.#compacted = this.#version;
    this.#history.clear();
  }

  bookmark(): void {
    for (const { response } of this.#watchers) {
      this.#write(response, `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: this.version } } })}\n`);
    }
  }

  /** Bytes as they are, to all watches of a path. */
  raw(path: string, bytes: string | Uint8Array): void {
    for (const watcher of this.#watchers) if (watcher.path === path) watcher.response.write(bytes);
  }

  /** Ends all watches in order, as a server does after `timeoutSeconds`. */
  endWatches(): void {
    for (const watcher of this.#watchers) {
      this.#watchers.delete(watcher);
      watcher.response.end();
    }
  }

  #collection(path: string): Map<string, FakeObject> {
    let objects = this.#objects.get(path);
    if (objects === undefined) this.#objects.set(path, (objects = new Map()));
    return objects;
  }

  #happened(path: string, event: HistoryEvent): void {
    const history = this.#history.get(path) ?? [];
    history.push(event);
    this.#history.set(path, history);
    for (const watcher of this.#watchers) {
      if (watcher.path === path && selects(watcher.url, event.object)) this.#write(watcher.response, line(event));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://fake');
    this.queries.push(url);
    if (this.intercept?.(request, response) === true) return;
    const watch = url.searchParams.get('watch') !== null;
    this.requests[watch ? 'watch' : 'list']++;
    if (this.refuse !== undefined) return status(response, this.refuse, 'refused by the test');
    if (watch) this.#watch(url, response);
    else this.#list(url, response);
  }

  #list(url: URL, response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? '0');
    const token = url.searchParams.get('continue');
    const [version = String(this.#version), after = ''] = token === null ? [] : token.split(' ');
    if (token !== null) this.requests.pages++;
    if (Number(version) < this.#compacted) return status(response, 410, 'The provided continue parameter is too old');
    // A page of a changed collection would need the past; the list is then of now, as for a token that is too old.
    if (token !== null && Number(version) !== this.#version) return status(response, 410, 'The provided continue parameter is too old');
    const all = this.#listed(url.pathname)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .filter(([key, object]) => key > after && selects(url, object));
    const page = limit > 0 ? all.slice(0, limit) : all;
    const more = page.length < all.length;
    const body = {
      metadata: { resourceVersion: version, ...(more ? { continue: `${version} ${page.at(-1)?.[0] ?? ''}` } : {}) },
      items: page.map(([, object]) => object),
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  /** A collection, or what it has in one namespace. */
  #listed(path: string): [string, FakeObject][] {
    const [, root = '', namespace, plural = ''] = /^(.*)\/namespaces\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    if (namespace === undefined || this.#objects.has(path)) return [...this.#collection(path)];
    return [...this.#collection(`${root}/${plural}`)].filter(([, { metadata }]) => metadata.namespace === namespace);
  }

  #watch(url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get('resourceVersion') ?? '0');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from < this.#compacted) {
      response.end(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old resource version' } })}\n`);
      return;
    }
    const watcher: Watcher = { url, response, path: url.pathname };
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
    const history = this.#history.get(url.pathname) ?? [];
    const first = history.findIndex((e) => e.version > from);
    const start = Math.max(0, (first < 0 ? history.length : first) - this.repeat);
    for (const event of history.slice(start)) if (selects(url, event.object)) this.#write(response, line(event));
  }

  #write(response: ServerResponse, text: string): void {
    if (this.chunkBytes === 0) {
      response.write(text);
      return;
    }
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += this.chunkBytes) response.write(bytes.subarray(at, at + this.chunkBytes));
  }
}

/** Of field selectors only `type=...` and `metadata.name=...`; others select all. */
function selects(url: URL, object: FakeObject): boolean {
  const [, field, value] = /^(type|metadata\.name)=(.+)$/.exec(url.searchParams.get('fieldSelector') ?? '') ?? [];
  if (field === undefined) return true;
  return (field === 'type' ? (object as { readonly type?: unknown }).type : object.metadata.name) === value;
}

function line(event: HistoryEvent): string {
  return `${JSON.stringify({ type: event.type, object: event.object })}\n`;
}

function status(response: ServerResponse, code: number, message: string): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ kind: 'Status', code, message }));
}

function metadataOf(extra: object): object {
  return 'metadata' in extra && typeof extra.metadata === 'object' && extra.metadata !== null ? extra.metadata : {};
}
