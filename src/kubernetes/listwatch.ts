/**
 * Keeps the content of one collection of an API server. It lists once, then watches from the list's version on; a watch that ends, breaks or falls silent
 * is gone on with from the last version seen, and only where the server has forgotten that version is the list read again and compared with what is held:
 * what did not change is not told again, and what is missing is deleted only after the whole list was read.
 */
import { Backoff, type BackoffOptions } from './backoff.ts';
import { pause, type Clock } from './clock.ts';
import { Held, type Change, type Trim } from './held.ts';
import { LineSplitter } from './lines.ts';
import { ApiRefusal, listAll, queryOf, type ListRequest } from './list.ts';
import type { Transport } from './transport.ts';
import { readWatchEvent, type WatchEvent } from './watch-event.ts';

export interface ListWatchOptions<T> {
  readonly transport: Transport;
  readonly clock: Clock;
  /** What to list. Asked before each list; undefined while the server does not serve it: then nothing is held, and it is asked again. */
  readonly resolve: (signal: AbortSignal) => Promise<WatchTarget | undefined>;
  /** Called for each object that arrives; what it returns is all that is kept. */
  readonly trim: Trim<T>;
  /** The first change is the whole list, also where it is empty. */
  readonly onChange: (change: Change<T>) => void;
  /** What is wrong now, told once; undefined once it works again. */
  readonly onFault?: (fault: ListWatchFault | undefined) => void;
  readonly limits?: Partial<ListWatchLimits>;
  readonly backoff?: BackoffOptions;
}

/** A collection. What a list and a watch of it are asked for in differs where it is not their default form. */
interface WatchTarget extends Omit<ListRequest, 'pageSize'> {
  readonly watchAccept?: string;
}

export interface ListWatchFault {
  /**
   * `unreachable`: no answer; `refused`: the server says no; `unreadable`: a line or object of it could not be read; `not-served`: the kind is not
   * installed. What is held stays, except for `not-served`.
   */
  readonly type: 'unreachable' | 'refused' | 'unreadable' | 'not-served';
  readonly message: string;
  readonly status?: number;
}

export interface ListWatchLimits {
  readonly pageSize: number;
  /** Of one event, that is of one object: etcd takes 1.5 MiB. */
  readonly maxEventBytes: number;
  /** Without an event or bookmark for so long, the connection counts as dead. Servers send a bookmark a minute. */
  readonly silenceMs: number;
  /** The server ends a watch after a random time between this and twice this, so that watches spread over servers. */
  readonly watchSeconds: number;
  /** Between questions for a kind that is not served. */
  readonly absentMs: number;
}

export const defaultLimits: ListWatchLimits = {
  pageSize: 500,
  maxEventBytes: 4 * 1024 * 1024,
  silenceMs: 150_000,
  watchSeconds: 300,
  absentMs: 5_000,
};

/** A watch that was open for so long has worked, even where nothing happened. */
const stayedMs = 5_000;

/** What happens after a watch has ended. */
type Next = 'resume' | 'relist';

export class ListWatch<T> {
  private readonly options: ListWatchOptions<T>;
  private readonly limits: ListWatchLimits;
  private readonly held: Held<T>;
  private readonly backoff: Backoff;
  private target: WatchTarget | undefined;
  private interrupt = new AbortController();
  private relistWanted = false;
  /** `waiting`: there is no list, or one is to come anew. */
  private state: 'waiting' | 'listing' | 'listed' = 'waiting';
  private broken: { readonly error: unknown } | undefined;
  /** Namespaces that are being listed. */
  private readonly reads = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();
  private absences = 0;
  private told = false;
  private lastFault: ListWatchFault | undefined;

  constructor(options: ListWatchOptions<T>) {
    this.options = options;
    this.limits = { ...defaultLimits, ...options.limits };
    this.held = new Held(options.trim);
    this.backoff = new Backoff(options.clock, options.backoff);
  }

  get size(): number {
    return this.held.size;
  }

  /** Reads the list again: `trim` decides differently now. */
  relist(): void {
    this.relistWanted = true;
    this.interrupt.abort();
  }

  /** `trim` takes objects of the namespace from now on, and took none before: they are listed while the watch goes on. */
  readNamespace(namespace: string): void {
    // What is listed already was without it; a list that is to come has it.
    if (this.state === 'listing') this.relist();
    if (this.state !== 'listed' || this.target === undefined) return;
    this.reads.get(namespace)?.stop.abort();
    const stop = new AbortController();
    const done = this.listNamespace(this.target, namespace, stop.signal).finally(() => {
      if (this.reads.get(namespace)?.stop === stop) this.reads.delete(namespace);
    });
    this.reads.set(namespace, { stop, done });
  }

  /** `trim` takes no objects of the namespace any more. Nothing is asked of the server. */
  dropNamespace(namespace: string): void {
    this.reads.get(namespace)?.stop.abort();
    if (this.state === 'listing') this.relist();
    else if (this.told) this.tell(this.held.dropNamespace(namespace));
  }

  /** Until the signal. Faults of the server are reported, not thrown; an error that `onChange` or `trim` throws is ours and ends it. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.listAndWatch(signal);
    } finally {
      await this.stopReads();
    }
  }

  private async listAndWatch(signal: AbortSignal): Promise<void> {
    let next: Next = 'relist';
    while (!signal.aborted) {
      if (this.broken !== undefined) throw this.broken.error;
      this.interrupt = new AbortController();
      const within = AbortSignal.any([signal, this.interrupt.signal]);
      if (this.relistWanted) next = 'relist';
      if (next === 'relist') {
        this.relistWanted = false;
        const listed = await this.list(within);
        if (!listed) continue;
      }
      next = await this.watch(within, signal);
    }
  }

  /** False: to be tried again, the wait is over. */
  private async list(within: AbortSignal): Promise<boolean> {
    const { transport, clock, resolve } = this.options;
    this.state = 'waiting';
    // The list has what they would bring.
    await this.stopReads();
    try {
      this.target = await resolve(within);
      if (this.target === undefined) {
        // A server that is just starting may not know its kinds yet: what is held goes only when the answer stays.
        if (this.held.size === 0 || ++this.absences >= 3) this.tell(this.held.clear());
        this.fault({ type: 'not-served', message: 'is not served by the API server' });
        await pause(clock, this.limits.absentMs * (0.75 + clock.random() / 2), within);
        return false;
      }
      this.absences = 0;
      this.state = 'listing';
      const list = this.held.beginList();
      const version = await listAll(transport, { ...this.target, pageSize: this.limits.pageSize }, (object) => list.add(object), within);
      this.state = 'listed';
      this.tell(list.finish(version));
      this.fault(undefined);
      return true;
    } catch (error) {
      this.state = 'waiting';
      if (within.aborted) return false;
      const fault = faultOf(error);
      this.fault(fault);
      await pause(clock, this.backoff.failed(), within);
      return false;
    }
  }

  /** Where it fails everything is listed, which is tried until it works. */
  private async listNamespace({ path, ...target }: WatchTarget, namespace: string, signal: AbortSignal): Promise<void> {
    const { transport } = this.options;
    const request = {
      ...target,
      path: path.replace(/\/([^/]+)$/, `/namespaces/${encodeURIComponent(namespace)}/$1`),
      pageSize: this.limits.pageSize,
    };
    const list = this.held.beginNamespace(namespace);
    try {
      const failed = await listAll(transport, request, (object) => list.add(object), signal).then(
        () => false,
        () => true,
      );
      if (signal.aborted) return;
      if (failed) this.relist();
      else this.tell(list.finish());
    } catch (error) {
      // Of whoever takes the change: the run ends with it.
      this.broken = { error };
      this.interrupt.abort();
    } finally {
      list.end();
    }
  }

  private async stopReads(): Promise<void> {
    const reads = [...this.reads.values()];
    for (const { stop } of reads) stop.abort();
    await Promise.all(reads.map(({ done }) => done));
  }

  private async watch(within: AbortSignal, signal: AbortSignal): Promise<Next> {
    const { clock } = this.options;
    const watch = new AbortController();
    const stop = AbortSignal.any([within, watch.signal]);
    const began = clock.now();
    let progress = false;
    let next: Next = 'resume';
    let fault: ListWatchFault | undefined;
    // Each chunk sets it anew.
    let cancelSilence = (): void => {};
    const listen = (): void => {
      cancelSilence();
      cancelSilence = clock.after(this.limits.silenceMs, () => watch.abort(new Error('silent')));
    };
    try {
      listen();
      const stream = await this.open(stop);
      if (stream.status !== 200) {
        next = stream.status === 410 || stream.status === 404 ? 'relist' : 'resume';
        fault = { type: 'refused', status: stream.status, message: `watch refused with HTTP status ${stream.status}` };
      } else {
        this.fault(undefined);
        const lines = new LineSplitter(this.limits.maxEventBytes);
        reading: for await (const chunk of stream.chunks) {
          listen();
          for (const line of lines.push(chunk)) {
            const event: WatchEvent =
              'text' in line
                ? readWatchEvent(line.text)
                : { type: 'unreadable', why: `has ${line.oversized} bytes, at most ${this.limits.maxEventBytes} are read` };
            if (event.type === 'error') {
              // 504: the version lies in the future of a server that was set back or lags. Both are cured by a list.
              if (event.code === 410 || event.code === 504) next = 'relist';
              else fault = { type: 'refused', status: event.code, message: event.message };
              if (event.code !== 410) progress = false;
              break reading;
            }
            if (event.type === 'unreadable') {
              // What it said is not known: only a list tells.
              fault = { type: 'unreadable', message: `an event of ${this.target?.path ?? ''} ${event.why}` };
              next = 'relist';
              progress = false;
              break reading;
            }
            this.take(event);
            progress = true;
          }
        }
      }
    } catch (error) {
      if (within.aborted) return 'resume';
      if (error instanceof OurFault) throw error.cause;
      if (!watch.signal.aborted) fault = faultOf(error);
    } finally {
      cancelSilence();
      watch.abort();
    }
    if (signal.aborted || within.aborted) return next;
    // A server that lets nobody stay is not asked in a loop: one that closed at once and said nothing has failed.
    const stayed = progress || clock.now() - began > stayedMs;
    if (stayed) this.backoff.succeeded();
    if (stayed && fault === undefined) return next;
    // That a connection broke is no news while going on works.
    if (fault !== undefined && !(stayed && fault.type === 'unreachable')) this.fault(fault);
    await pause(clock, this.backoff.failed(), within);
    return next;
  }

  private open(signal: AbortSignal): ReturnType<Transport['stream']> {
    const { transport, clock } = this.options;
    const { watchAccept, ...target }: WatchTarget = this.target ?? { path: '/' };
    const seconds = Math.round(this.limits.watchSeconds * (1 + clock.random()));
    const query = queryOf({
      ...target,
      watch: '1',
      resourceVersion: this.held.resourceVersion,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(seconds),
    });
    return transport.stream(
      { method: 'GET', path: `${target.path}?${query}`, ...(watchAccept === undefined ? {} : { accept: watchAccept }) },
      signal,
    );
  }

  private take(event: Exclude<WatchEvent, { type: 'error' | 'unreadable' }>): void {
    try {
      if (event.type === 'bookmark') this.held.bookmark(event.resourceVersion);
      else {
        const change = event.type === 'put' ? this.held.put(event.object) : this.held.delete(event.object);
        if (change !== undefined) this.options.onChange(change);
      }
    } catch (cause) {
      throw new OurFault(cause);
    }
    this.fault(undefined);
  }

  private tell(change: Change<T>): void {
    if (this.told && change.upserts.size === 0 && change.deletes.length === 0) return;
    this.told = true;
    this.options.onChange(change);
  }

  private fault(fault: ListWatchFault | undefined): void {
    if (fault?.type === this.lastFault?.type && fault?.message === this.lastFault?.message) return;
    this.lastFault = fault;
    this.options.onFault?.(fault);
  }
}

/** Wraps what a consumer throws, so that it is not taken for a fault of the connection. */
class OurFault extends Error {
  constructor(cause: unknown) {
    super('a change could not be taken in', { cause });
  }
}

function faultOf(error: unknown): ListWatchFault {
  if (error instanceof ApiRefusal) return { type: 'refused', status: error.status, message: error.message };
  return { type: 'unreachable', message: error instanceof Error ? error.message : String(error) };
}
