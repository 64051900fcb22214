/** The transport over HTTP/1.1 with Node's own client. */
import { request as plainRequest, type IncomingMessage } from 'node:http';
import { request as tlsRequest, type RequestOptions } from 'node:https';
import { ApiUnreachable, type ApiAnswer, type ApiRequest, type ApiStream, type Transport } from './transport.ts';

export interface HttpTransportOptions {
  /** `https://host:port`, with the path under which the API stands if it has one. */
  readonly server: string;
  /** Credentials, anew for each request: tokens and certificates on disk are rotated. */
  readonly credentials?: () => Promise<RequestOptions>;
  /** To a whole answer, or to the head of a stream. Default 30 s. */
  readonly timeoutMs?: number;
  /** Of one answer. Default 256 MiB. */
  readonly maxAnswerBytes?: number;
  readonly userAgent?: string;
}

export class HttpTransport implements Transport {
  private readonly server: URL;
  private readonly credentials: () => Promise<RequestOptions>;
  private readonly timeoutMs: number;
  private readonly maxAnswerBytes: number;
  private readonly userAgent: string;

  constructor(options: HttpTransportOptions) {
    this.server = new URL(options.server);
    this.credentials = options.credentials ?? (() => Promise.resolve({}));
    this.timeoutMs = options.timeoutMs ?? 30_000;
    this.maxAnswerBytes = options.maxAnswerBytes ?? 256 * 1024 * 1024;
    this.userAgent = options.userAgent ?? 'mizzen';
  }

  async request(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(this.timeoutMs)]);
    const response = await this.send(request, within);
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        length += chunk.length;
        if (length > this.maxAnswerBytes) throw new ApiUnreachable(`the answer is larger than ${this.maxAnswerBytes} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw unreachable(error, this.server, within);
    }
    const dateMs = Date.parse(response.headers.date ?? '');
    return {
      status: response.statusCode ?? 0,
      body: parse(Buffer.concat(chunks).toString('utf8')),
      ...(!Number.isNaN(dateMs) && { dateMs }),
    };
  }

  async stream(request: ApiRequest, signal: AbortSignal): Promise<ApiStream> {
    const given = new AbortController();
    const timer = setTimeout(() => given.abort(), this.timeoutMs);
    const within = AbortSignal.any([signal, given.signal]);
    try {
      const response = await this.send(request, within);
      // A broken connection that sends no end is found out by the probes of TCP, or by whoever waits for data.
      response.socket.setKeepAlive(true, 15_000);
      return { status: response.statusCode ?? 0, chunks: response as AsyncIterable<Uint8Array> };
    } finally {
      clearTimeout(timer);
    }
  }

  private async send(
    { method, path, accept, body, contentType = 'application/json' }: ApiRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { headers, ...credentials } = await this.credentials();
    const prefix = this.server.pathname.replace(/\/$/, '');
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const options: RequestOptions = {
      ...credentials,
      method,
      host: this.server.hostname.replace(/^\[|\]$/g, ''),
      port: this.server.port === '' ? (this.server.protocol === 'https:' ? 443 : 80) : this.server.port,
      path: `${prefix}${path}`,
      signal,
      headers: {
        ...(headers as Record<string, string> | undefined),
        accept: accept ?? 'application/json',
        'user-agent': this.userAgent,
        ...(payload === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(payload) }),
      },
    };
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = (this.server.protocol === 'https:' ? tlsRequest : plainRequest)(options, resolve);
    sent.on('error', (error) => reject(unreachable(error, this.server, signal)));
    sent.end(payload);
    return promise;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // Proxies answer with text; the status says enough.
  }
}

function unreachable(error: unknown, server: URL, signal: AbortSignal): ApiUnreachable {
  if (error instanceof ApiUnreachable) return error;
  const why = signal.aborted ? 'no whole answer in time' : error instanceof Error ? error.message : String(error);
  return new ApiUnreachable(`API server ${server.host}: ${why}`, { cause: error });
}
