import { request } from 'node:http';

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HttpRequest {
  readonly address?: string;
  readonly port: number;
  readonly path?: string;
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs?: number;
}

/** One request on a connection of its own. A refused or reset connection and a timeout are thrown, any status is returned. */
export function http(options: HttpRequest): Promise<HttpResponse> {
  const { address = '127.0.0.1', port, path = '/', host, method = 'GET', headers, body: sent, timeoutMs = 5_000 } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: address, port, path, method, agent: false, headers: { ...headers, ...(host === undefined ? {} : { host }) } },
      (incoming) => {
        let body = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => (body += chunk));
        incoming.on('error', reject);
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
      },
    );
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    outgoing.on('error', reject);
    outgoing.end(sent);
  });
}
