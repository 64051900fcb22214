/** What the test and its applications agree on. */
import type { ServiceDefinition } from '@grpc/grpc-js';

interface Listening {
  readonly port: number;
  /** All addresses of the pod when absent. */
  readonly address?: string;
}

/** How an HTTP application misbehaves. */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'reset' }
  /** Requests 1, 1 + every, ... get this status. */
  | { readonly kind: 'status'; readonly status: number; readonly every: number };

export interface HttpApp extends Listening {
  readonly kind: 'http';
  readonly version: string;
  readonly fault?: Fault;
}

export type App =
  | HttpApp
  | (Listening & { readonly kind: 'tcp-echo' })
  /** Speaks first, as MySQL and SMTP do, and closes. */
  | (Listening & { readonly kind: 'tcp-greeting'; readonly greeting: string })
  | (Listening & { readonly kind: 'grpc' });

/** The body of an HTTP application's answer. */
export interface HttpEcho {
  readonly version: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Address of the connection's other end as the application sees it. */
  readonly peer: string;
  /** Number of requests since its start or since the fault was set. */
  readonly count: number;
  readonly body: string;
}

const same = (bytes: Buffer): Buffer => bytes;
const raw = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };

/** gRPC without messages of its own: the bytes come back. */
export const echoService = {
  unary: { path: '/mizzen.test.Echo/Unary', requestStream: false, responseStream: false, ...raw },
  stream: { path: '/mizzen.test.Echo/Stream', requestStream: true, responseStream: true, ...raw },
} satisfies ServiceDefinition;

export interface LoadConfig {
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Requests per second, whether or not answers come. */
  readonly rate: number;
  readonly timeoutMs: number;
  /** HTTPS with this PEM root and SNI; plain HTTP when absent. */
  readonly tls?: { readonly root: string; readonly serverName: string };
  /** It ends by itself after so long. */
  readonly limitMs: number;
  /** It ends by itself after so many requests. */
  readonly limitRequests?: number;
}

export interface LoadProgress {
  readonly sent: number;
  /** Answered or failed; the others are under way. */
  readonly done: number;
  /** Failures by reason. */
  readonly failed: Readonly<Record<string, number>>;
}

export interface LoadResult {
  readonly sent: number;
  readonly ok: number;
  /** Failures by reason: `status 503 (UF)`, `ECONNRESET`, `timeout`, ... */
  readonly failed: Readonly<Record<string, number>>;
  readonly failures: number;
  /** Connections that were opened for one request, and requests that were sent on kept ones. */
  readonly onNewConnections: number;
  readonly onKeptConnections: number;
  /** Answers by `x-version`. */
  readonly versions: Readonly<Record<string, number>>;
  /** Issuer and serial of each server certificate that was seen. */
  readonly certificates: readonly string[];
  readonly durationMs: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** One thing that a client in a pod is asked to do. */
export type Task =
  | {
      readonly kind: 'http';
      readonly address: string;
      readonly port: number;
      readonly path: string;
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly tls?: TlsOptions;
      readonly timeoutMs: number;
    }
  /** Connects, sends `data` if there is any, and returns what comes until the peer closes or `until` bytes are there. */
  | {
      readonly kind: 'tcp';
      readonly address: string;
      readonly port: number;
      readonly data: string;
      readonly until: number;
      readonly timeoutMs: number;
    }
  | {
      readonly kind: 'websocket';
      readonly address: string;
      readonly port: number;
      readonly host: string;
      readonly message: string;
      readonly timeoutMs: number;
    }
  | {
      readonly kind: 'grpc';
      readonly address: string;
      readonly port: number;
      readonly host: string;
      readonly message: string;
      readonly timeoutMs: number;
    };

export interface TlsOptions {
  /** PEM; absent: the server's certificate is not checked. */
  readonly root?: string;
  readonly serverName?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly alpn?: readonly string[];
}

export interface TaskAnswer {
  /** 0 where the protocol has none. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  /** Serial number of the server's certificate. */
  readonly serial?: string;
}

export type TaskResult = { readonly id: number } & ({ readonly answer: TaskAnswer } | { readonly fault: string });
