/** What the bench and the processes of its simulated proxies say to each other. All times are of `nowMs()`. */

export interface ProxyPlan {
  /** The encoded Node. */
  readonly node: Uint8Array;
  readonly token?: string;
  /** A slow reader: bytes a second. */
  readonly bytesPerSecond?: number;
}

export interface ConnectCommand {
  readonly do: 'connect';
  readonly address: string;
  readonly ca?: string;
  readonly proxies: readonly ProxyPlan[];
  /** Keep what is needed to tell versions on a reconnect. */
  readonly keepVersions: boolean;
  readonly limitMs: number;
}

/** Ends all streams and opens them again with the versions that they hold. Answered like `connect`. */
export interface ReconnectCommand {
  readonly do: 'reconnect';
  readonly limitMs: number;
}

export interface Connected {
  readonly beganMs: number;
  /** Of each proxy: when the last thing that it needed to be ready had come. */
  readonly syncedMs: readonly number[];
}

/** From now on note when each proxy first receives a response of one of the types in which the text occurs. Answered when armed. */
export interface WatchCommand {
  readonly do: 'watch';
  readonly types: readonly string[];
  /** Occurs in nothing but the change. */
  readonly marker: string;
}

/** Answered when all proxies that are not slow readers have received what is watched. */
export interface AwaitCommand {
  readonly do: 'await';
  readonly limitMs: number;
}

export interface Received {
  readonly receivedMs: readonly number[];
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

export type Command = ConnectCommand | ReconnectCommand | WatchCommand | AwaitCommand | SettleCommand | CloseCommand;

export interface Answers {
  connect: Connected;
  reconnect: Connected;
  watch: null;
  await: Received;
  settle: Totals;
  close: null;
}

export interface Call {
  readonly id: number;
  readonly command: Command;
}

export interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}
