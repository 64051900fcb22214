/** The simulated proxies of one process. */
import { setTimeout as delay } from 'node:timers/promises';
import { requestCertificate } from './certificate.ts';
import { nowMs } from './clock.ts';
import { closedHere, Connection } from './connection.ts';
import type {
  AwaitCommand,
  Certified,
  CertifyCommand,
  ConnectCommand,
  Connected,
  ProxyPlan,
  Received,
  ReconnectCommand,
  RestartCommand,
  SettleCommand,
  Totals,
  WatchCommand,
} from './messages.ts';
import type { SimulatedStream, StreamOptions } from './proxy.ts';
import { encodeShared } from './request.ts';
import { backoffMs, isForTheMoment } from './retry.ts';
import { type Protocol, type Response, ResponseReader } from './response.ts';
import { Sidecar } from './sidecar.ts';
import { SotwSidecar } from './sotw.ts';
import * as types from './types.ts';
import { Watch } from './watch.ts';

interface Member {
  readonly index: number;
  readonly plan: ProxyPlan;
  stream: SimulatedStream;
  connection: Connection | undefined;
  /** While it waits to try again. */
  retry: NodeJS.Timeout | undefined;
  /** Called once, when it is in sync. */
  onSynced: (() => void) | undefined;
}

/** Whole in each response over SotW, which leaves endpoints and routes out that did not change. */
const wholeTypes: ReadonlySet<string> = new Set([types.clusters, types.listeners]);

export class ProxyGroup {
  readonly #readers: Readonly<Record<Protocol, ResponseReader>> = { delta: new ResponseReader('delta'), sotw: new ResponseReader('sotw') };
  #members: readonly Member[] = [];
  #server: ConnectCommand | undefined;
  readonly #watches = new Map<number, Watch>();
  readonly #received = new Map<string, { messages: number; bytes: number }>();
  #lastMessageMs = 0;
  /** Streams that were refused since the proxies began to connect. */
  #refused = 0;
  /** Rejects when the server ends a stream that it should keep. */
  #broken = Promise.withResolvers<never>();

  constructor() {
    this.#broken.promise.catch(() => undefined);
  }

  async connect(command: ConnectCommand): Promise<Connected> {
    this.#server = command;
    this.#broken = Promise.withResolvers<never>();
    this.#broken.promise.catch(() => undefined);
    this.#members = command.proxies.map((plan, index) => {
      const member: Member = { index, plan, stream: unopened, connection: undefined, retry: undefined, onSynced: undefined };
      member.stream = this.#streamOf(member);
      return member;
    });
    return this.#openAll(this.#members, command.limitMs);
  }

  async reconnect({ share, limitMs }: ReconnectCommand): Promise<Connected> {
    const dropped = this.#members.slice(0, Math.ceil(share * this.#members.length));
    for (const member of dropped) drop(member);
    return this.#openAll(dropped, limitMs);
  }

  async restart({ overMs, limitMs }: RestartCommand): Promise<Connected> {
    const beganMs = nowMs();
    this.#refused = 0;
    const took = await this.#paced(overMs, (member) => {
      drop(member);
      member.stream = this.#streamOf(member);
      return this.#open(member, limitMs);
    });
    return { beganMs, tookMs: took, refused: this.#refused };
  }

  watch({ id, mark, concerns }: WatchCommand): null {
    this.#watches.set(
      id,
      new Watch(
        mark,
        this.#members.map((member, i) => concerns[i] === true && isQuick(member)),
      ),
    );
    return null;
  }

  async await({ id, limitMs }: AwaitCommand): Promise<Received> {
    const watch = this.#watches.get(id);
    if (watch === undefined) throw new Error(`there is no watch ${id}`);
    try {
      await this.#within(watch.complete, limitMs);
    } finally {
      this.#watches.delete(id);
    }
    return { receivedMs: watch.receivedMs };
  }

  async certify({ request, overMs, limitMs }: CertifyCommand): Promise<Certified> {
    const { ca } = this.#server ?? {};
    if (ca === undefined) throw new Error('certificates are signed over TLS only');
    const tookMs = await this.#paced(overMs, async ({ plan: { token, address } }) => {
      if (token === undefined) throw new Error('certificates are signed for tokens only');
      const beganMs = nowMs();
      await requestCertificate({ address, ca, token, request, limitMs });
      return nowMs() - beganMs;
    });
    return { tookMs };
  }

  async settle({ quietMs }: SettleCommand): Promise<Totals> {
    for (let idle = 0; idle < quietMs; idle = nowMs() - this.#lastMessageMs) await delay(quietMs - idle);
    const { user, system } = process.cpuUsage();
    return { received: this.#received, cpuMs: (user + system) / 1000, lastMessageMs: this.#lastMessageMs };
  }

  close(): null {
    for (const member of this.#members) drop(member);
    return null;
  }

  async #openAll(members: readonly Member[], limitMs: number): Promise<Connected> {
    const beganMs = nowMs();
    this.#refused = 0;
    const took = await Promise.all(members.map((member) => this.#open(member, limitMs, beganMs)));
    return { beganMs, tookMs: took.filter((_ms, i) => isQuick(members[i])), refused: this.#refused };
  }

  /** Returns how long it took to be in sync, NaN when it was not within the limit. Of a slow reader it is not waited for. */
  async #open(member: Member, limitMs: number, beganMs = nowMs()): Promise<number> {
    const synced = Promise.withResolvers<void>();
    member.onSynced = synced.resolve;
    this.#connect(member, 0);
    if (!isQuick(member)) return Number.NaN;
    return (await this.#within(synced.promise, limitMs)) ? nowMs() - beganMs : Number.NaN;
  }

  /** `attempt`: how often the server has refused it. */
  #connect(member: Member, attempt: number): void {
    if (this.#server === undefined) throw new Error('nothing was connected');
    const { ca } = this.#server;
    const { address, protocol, token, bytesPerSecond } = member.plan;
    let answered = false;
    const connection = new Connection({
      protocol,
      address,
      ...(ca === undefined ? {} : { ca }),
      ...(token === undefined ? {} : { token }),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      onMessage: (message) => {
        answered = true;
        this.#receive(member, message);
      },
      onEnd: (reason, code) => {
        if (member.connection !== connection) return;
        member.connection = undefined;
        if (!answered && isForTheMoment(code)) {
          this.#refused++;
          member.retry = setTimeout(() => this.#connect(member, attempt + 1), backoffMs(attempt, Math.random()));
          return;
        }
        // What a slow reader is spared does not fail the run.
        if (reason !== closedHere && isQuick(member)) this.#broken.reject(new Error(`the server ended a stream: ${reason}`));
      },
    });
    member.connection = connection;
    member.stream.open();
  }

  #streamOf(member: Member): SimulatedStream {
    const { node, protocol, refusedType, secrets } = member.plan;
    const options: StreamOptions = {
      node,
      send: (request) => member.connection?.send(request),
      ...(secrets === undefined ? {} : { secrets }),
      ...(refusedType === undefined ? {} : { refusedType }),
    };
    if (protocol === 'sotw') return new SotwSidecar(options);
    return new Sidecar({ ...options, encode: encodeShared }, this.#server?.keepVersions);
  }

  #receive(member: Member, message: Buffer): void {
    const now = nowMs();
    this.#lastMessageMs = now;
    const response = this.#readers[member.plan.protocol].read(message);
    this.#count(response.content.type, message.length);
    member.stream.receive(response);
    const whole = member.plan.protocol === 'sotw' && wholeTypes.has(response.content.type);
    for (const watch of this.#watches.values()) watch.receive(member.index, message, response.content, whole, now);
    if (member.onSynced !== undefined && member.stream.synced) {
      member.onSynced();
      member.onSynced = undefined;
    }
  }

  #count(type: string, bytes: number): void {
    const traffic = this.#received.get(type);
    if (traffic === undefined) {
      this.#received.set(type, { messages: 1, bytes });
      return;
    }
    traffic.messages++;
    traffic.bytes += bytes;
  }

  /** Starts one for each proxy that is not a slow reader, at even intervals. */
  async #paced(overMs: number, run: (member: Member) => Promise<number>): Promise<number[]> {
    const members = this.#members.filter(isQuick);
    const beganMs = nowMs();
    const runs: Promise<number>[] = [];
    for (const [i, member] of members.entries()) {
      const early = beganMs + (i * overMs) / members.length - nowMs();
      if (early > 0) await delay(early);
      const one = run(member);
      // Awaited with the others; a failure before that is not unhandled.
      one.catch(() => undefined);
      runs.push(one);
    }
    return Promise.all(runs);
  }

  /** False after the limit. Throws when the server ends a stream meanwhile. */
  async #within(done: Promise<void>, limitMs: number): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<false>();
    const timer = setTimeout(() => resolve(false), limitMs);
    try {
      return await Promise.race([done.then(() => true), this.#broken.promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

const unopened: SimulatedStream = { open: () => undefined, receive: (_response: Response) => undefined, synced: false };

function drop({ connection, retry }: Member): void {
  clearTimeout(retry);
  connection?.close();
}

/** Nobody waits for slow readers: what is measured is what they do to the others. */
function isQuick(member: { readonly plan: ProxyPlan } | undefined): boolean {
  return member?.plan.bytesPerSecond === undefined;
}
