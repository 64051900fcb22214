/** What the bench and the processes of its simulated proxies say to each other. All times are of `nowMs()`; NaN: it never came. */
import type { Mark } from '../workload/mark.ts';
import type { Protocol } from './response.ts';

export interface ProxyPlan {
  /** The encoded Node. */
  readonly node: Uint8Array;
  /** `host:port` of its server. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly token?: string;
  /** Names that it asks for over SDS. */
  readonly secrets?: readonly string[];
  /** A slow reader: bytes a second. */
  readonly bytesPerSecond?: number;
  /** Responses of this type are refused once it is in sync. */
  readonly refusedType?: string;
}

export interface ConnectCommand {
  readonly do: 'connect';
  readonly ca?: string;
  readonly proxies: readonly ProxyPlan[];
  /** Keep what is needed to tell versions on a reconnect. */
  readonly keepVersions: boolean;
  readonly limitMs: number;
}

/** Drops the connections of a share of the proxies, and all of them are back at once with the versions that they hold. */
export interface ReconnectCommand {
  readonly do: 'reconnect';
  /** 0 to 1. */
  readonly share: number;
  readonly limitMs: number;
}

/** Ends one stream after the other, spread over some time, and begins each again with nothing. */
export interface RestartCommand {
  readonly do: 'restart';
  readonly overMs: number;
  readonly limitMs: number;
}

export interface Connected {
  readonly beganMs: number;
  /** Of each proxy that is not a slow reader: from its own connection until the last thing that it needed to be ready had come. */
  readonly tookMs: readonly number[];
  /** Streams that the server refused for the moment, so that their proxies tried again. */
  readonly refused: number;
}

/** From now on note when a response first shows the mark to each proxy that it concerns. Answered when armed. */
export interface WatchCommand {
  readonly do: 'watch';
  readonly id: number;
  readonly mark: Mark;
  /** By proxy; slow readers are left out anyway. */
  readonly concerns: readonly boolean[];
}

/** Answered when all proxies that the watch concerns have received it, or after the limit. Ends the watch. */
export interface AwaitCommand {
  readonly do: 'await';
  readonly id: number;
  readonly limitMs: number;
}

export interface Received {
  /** Of those that it concerns. */
  readonly receivedMs: readonly number[];
}

/** Each proxy asks for a certificate with its token on a connection of its own, spread over some time. */
export interface CertifyCommand {
  readonly do: 'certify';
  /** PEM. */
  readonly request: string;
  readonly overMs: number;
  readonly limitMs: number;
}

export interface Certified {
  readonly tookMs: readonly number[];
}

/** Answered when nothing has come for so long. */
export interface SettleCommand {
  readonly do: 'settle';
  readonly quietMs: number;
}

export interface Traffic {
  readonly messages: number;
  /** Of the messages, without the framing of HTTP/2. */
  readonly bytes: number;
}

/** Since the process began. */
export interface Totals {
  /** By type URL. */
  readonly received: ReadonlyMap<string, Traffic>;
  /** User and system time of the process itself. */
  readonly cpuMs: number;
  readonly lastMessageMs: number;
}

export interface CloseCommand {
  readonly do: 'close';
}

export interface Answers {
  connect: Connected;
  reconnect: Connected;
  restart: Connected;
  watch: null;
  await: Received;
  certify: Certified;
  settle: Totals;
  close: null;
}

export type Command =
  ConnectCommand | ReconnectCommand | RestartCommand | WatchCommand | AwaitCommand | CertifyCommand | SettleCommand | CloseCommand;

export interface Call {
  readonly id: number;
  readonly command: Command;
}

export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}
