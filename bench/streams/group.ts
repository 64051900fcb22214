/** The simulated proxies of one process. */
import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from './clock.ts';
import { closedHere, Connection } from './connection.ts';
import type {
  AwaitCommand,
  ConnectCommand,
  Connected,
  ProxyPlan,
  Received,
  ReconnectCommand,
  SettleCommand,
  Totals,
  WatchCommand,
} from './messages.ts';
import { encodeShared } from './request.ts';
import { ResponseReader } from './response.ts';
import { Sidecar } from './sidecar.ts';

interface Member {
  readonly plan: ProxyPlan;
  readonly sidecar: Sidecar;
  connection: Connection | undefined;
  /** NaN: not yet. */
  syncedMs: number;
  receivedMs: number;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class ProxyGroup {
  readonly #reader = new ResponseReader();
  #members: readonly Member[] = [];
  #server: ConnectCommand | undefined;
  #watched: { readonly types: readonly string[]; readonly marker: Buffer } | undefined;
  #waiting: Waiting | undefined;
  /** Members that the current wait is for and that have not got there. */
  #outstanding = 0;
  readonly #received = new Map<string, { messages: number; bytes: number }>();
  #lastMessageMs = 0;

  async connect(command: ConnectCommand): Promise<Connected> {
    this.#server = command;
    this.#members = command.proxies.map((plan) => {
      const member: Member = {
        plan,
        sidecar: new Sidecar(
          { node: plan.node, encode: encodeShared, send: (request) => member.connection?.send(request) },
          command.keepVersions,
        ),
        connection: undefined,
        syncedMs: Number.NaN,
        receivedMs: Number.NaN,
      };
      return member;
    });
    return this.#open(command, command.limitMs);
  }

  async reconnect({ limitMs }: ReconnectCommand): Promise<Connected> {
    if (this.#server === undefined) throw new Error('nothing was connected');
    this.close();
    return this.#open(this.#server, limitMs);
  }

  watch({ types, marker }: WatchCommand): null {
    this.#watched = { types, marker: Buffer.from(marker) };
    for (const member of this.#members) member.receivedMs = Number.NaN;
    this.#outstanding = this.#members.filter(isQuick).length;
    return null;
  }

  async await({ limitMs }: AwaitCommand): Promise<Received> {
    try {
      await this.#until('receive the change', limitMs);
    } finally {
      this.#watched = undefined;
    }
    return { receivedMs: this.#members.map((member) => member.receivedMs) };
  }

  async settle({ quietMs }: SettleCommand): Promise<Totals> {
    for (let idle = 0; idle < quietMs; idle = nowMs() - this.#lastMessageMs) await delay(quietMs - idle);
    const { user, system } = process.cpuUsage();
    return { received: this.#received, cpuMs: (user + system) / 1000, lastMessageMs: this.#lastMessageMs };
  }

  close(): null {
    for (const { connection } of this.#members) connection?.close();
    return null;
  }

  async #open({ address, ca }: ConnectCommand, limitMs: number): Promise<Connected> {
    const beganMs = nowMs();
    this.#watched = undefined;
    this.#outstanding = this.#members.filter(isQuick).length;
    for (const member of this.#members) {
      const { token, bytesPerSecond } = member.plan;
      member.syncedMs = Number.NaN;
      const connection = new Connection({
        address,
        ...(ca === undefined ? {} : { ca }),
        ...(token === undefined ? {} : { token }),
        ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
        onMessage: (message) => this.#receive(member, message),
        onEnd: (reason) => {
          if (member.connection !== connection) return;
          member.connection = undefined;
          if (reason !== closedHere) this.#broken(reason);
        },
      });
      member.connection = connection;
      member.sidecar.open();
    }
    await this.#until('be in sync', limitMs);
    return { beganMs, syncedMs: this.#members.map((member) => member.syncedMs) };
  }

  #receive(member: Member, message: Buffer): void {
    const now = nowMs();
    this.#lastMessageMs = now;
    const response = this.#reader.read(message);
    this.#count(response.content.type, message.length);
    member.sidecar.receive(response);
    const watched = this.#watched;
    if (watched !== undefined) {
      if (Number.isNaN(member.receivedMs) && watched.types.includes(response.content.type) && message.includes(watched.marker)) {
        member.receivedMs = now;
        if (isQuick(member)) this.#arrived();
      }
    } else if (Number.isNaN(member.syncedMs) && member.sidecar.synced) {
      member.syncedMs = now;
      if (isQuick(member)) this.#arrived();
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

  #arrived(): void {
    this.#outstanding--;
    if (this.#outstanding === 0) this.#waiting?.resolve();
  }

  #broken(reason: string): void {
    this.#waiting?.reject(new Error(`the server ended a stream: ${reason}`));
  }

  async #until(what: string, limitMs: number): Promise<void> {
    if (this.#outstanding === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting = { resolve, reject };
    const timer = setTimeout(
      () => reject(new Error(`${this.#outstanding} of ${this.#members.length} proxies did not ${what} within ${limitMs} ms`)),
      limitMs,
    );
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }
}

/** Nobody waits for slow readers: what is measured is what they do to the others. */
function isQuick({ plan }: { readonly plan: ProxyPlan }): boolean {
  return plan.bytesPerSecond === undefined;
}
