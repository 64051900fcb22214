import { AdsServer, type AdsStream, type Resource } from '../harness/ads.ts';
import type { Envoy } from '../harness/envoy.ts';
import { http } from '../harness/http.ts';
import { freePorts } from '../harness/ports.ts';
import { type ProxyOptions, startProxy } from '../harness/proxy.ts';
import { eventually } from '../harness/wait.ts';

/** A real Envoy and a scripted server that it is connected to. */
export class Session implements AsyncDisposable {
  readonly server: AdsServer;
  readonly envoy: Envoy;
  stream: AdsStream;

  private constructor(server: AdsServer, envoy: Envoy, stream: AdsStream) {
    this.server = server;
    this.envoy = envoy;
    this.stream = stream;
  }

  static async start(options: Omit<ProxyOptions, 'port'> = {}): Promise<Session> {
    const server = await AdsServer.start();
    try {
      const envoy = await startProxy({ ...options, port: server.port });
      const stream = await server.nextStream();
      await stream.subscription('CDS');
      return new Session(server, envoy, stream);
    } catch (fault) {
      await server[Symbol.asyncDispose]();
      throw fault;
    }
  }

  /** Answers CDS (nothing by default) and LDS, and waits until Envoy has accepted CDS and taken LDS. */
  async configure(listeners: readonly Resource[], clusters: readonly Resource[] = []): Promise<void> {
    this.stream.send('CDS', clusters);
    await this.stream.subscription('LDS');
    this.stream.send('LDS', listeners);
  }

  /** Ends the stream and takes the one with which Envoy comes back. */
  async reconnect(): Promise<AdsStream> {
    this.stream.drop();
    this.stream = await this.server.nextStream();
    return this.stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.envoy.stop();
    await this.server[Symbol.asyncDispose]();
  }
}

/** `status body` of a request for `host` to a listener of this machine. */
export async function get(port: number, host: string, path = '/', timeoutMs = 5_000): Promise<string> {
  const { status, body } = await http({ port, host, path, timeoutMs });
  return `${status} ${body}`.trim();
}

/** Waits until `get` gives `expected`; for updates whose acceptance reaches the worker threads a moment after the ACK. */
export async function serves(port: number, host: string, expected: string, path = '/'): Promise<void> {
  let last = '';
  await eventually(`${host} answers ${expected}`, async () => (last = await get(port, host, path)) === expected).catch((fault: unknown) => {
    throw new Error(`${(fault as Error).message}; last answer: ${last}`, { cause: fault });
  });
}

export async function twoPorts(): Promise<readonly [number, number]> {
  const [a = 0, b = 0] = await freePorts(2);
  return [a, b];
}
