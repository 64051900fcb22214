/**
 * What a Service's address is to its clients: each new connection goes to one of the endpoints that are ready, at random, as kube-proxy does it. Readiness
 * is asked for as a kubelet does, so that a change of it counts only from the next probe on; connections that are open stay.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { http } from '../../envoy/harness/http.ts';

export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  /** Asked for `/ready`. */
  readonly probe: { readonly address: string; readonly port: number };
}

/** A kubelet's probes of istiod's chart come every 3 s; tests have less time. */
const probeMs = 500;

export class ServiceAddress implements AsyncDisposable {
  readonly #server: Server;
  readonly #endpoints = new Set<ServiceEndpoint>();
  readonly #ready = new Set<ServiceEndpoint>();
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;
  #refused = 0;

  private constructor() {
    this.#server = createServer((client) => this.#relay(client));
    this.#timer = setInterval(() => {
      for (const endpoint of this.#endpoints) void this.#probe(endpoint);
    }, probeMs);
  }

  static async listen(address: string): Promise<ServiceAddress> {
    const service = new ServiceAddress();
    service.#server.listen(0, address);
    await once(service.#server, 'listening');
    return service;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that found no endpoint, or one that did not take them. */
  get refused(): number {
    return this.#refused;
  }

  /** From its first successful probe on, which this waits for, it gets connections. */
  async add(endpoint: ServiceEndpoint): Promise<void> {
    this.#endpoints.add(endpoint);
    await this.#probe(endpoint);
  }

  async #probe(endpoint: ServiceEndpoint): Promise<void> {
    const ready = await http({ ...endpoint.probe, path: '/ready' }).then(
      ({ status }) => status === 200,
      () => false,
    );
    if (ready) this.#ready.add(endpoint);
    else this.#ready.delete(endpoint);
  }

  #relay(client: Socket): void {
    const ready = [...this.#ready];
    const endpoint = ready[Math.floor(Math.random() * ready.length)];
    if (endpoint === undefined) {
      this.#refused++;
      client.resetAndDestroy();
      return;
    }
    const server = connect({ host: endpoint.address, port: endpoint.port, noDelay: true });
    client.setNoDelay(true);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    client.on('error', () => server.destroy());
    server.on('error', () => {
      if (server.connecting || server.bytesRead === 0) this.#refused++;
      client.resetAndDestroy();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
