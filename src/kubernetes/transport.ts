/** How requests reach an API server: what the client needs of HTTP, and no more. */

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  /** Default `application/json`. */
  readonly accept?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of the body: the form of a patch. Default `application/json`. */
  readonly contentType?: string;
}

export interface ApiAnswer {
  readonly status: number;
  /** Parsed JSON; undefined where the body is not JSON. */
  readonly body: unknown;
  /** What the server's clock said, to the second, in milliseconds since 1970 (header `Date`). */
  readonly dateMs?: number;
}

export interface ApiStream {
  readonly status: number;
  /** Ends when the server ends it; throws when the connection breaks. To be read once, or given up by the signal. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface Transport {
  /** One answer, whole. Rejects with an ApiUnreachable where there is none in time or it is too large. */
  request(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
  /** An answer whose end is open. Its head has a time limit, its body has none. */
  stream(request: ApiRequest, signal: AbortSignal): Promise<ApiStream>;
}

/** No answer: the connection failed, broke or took too long, or the answer is larger than is read. */
export class ApiUnreachable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ApiUnreachable';
  }
}

/** The message of a Status object, else the HTTP status. */
export function statusMessage(answer: ApiAnswer): string {
  const { body } = answer;
  if (typeof body === 'object' && body !== null && 'message' in body && typeof body.message === 'string') return body.message.slice(0, 500);
  return `HTTP status ${answer.status}`;
}
