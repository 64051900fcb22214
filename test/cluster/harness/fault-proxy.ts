/**
 * A TCP relay in front of the API server, for what networks do: connections that break, that are refused, or that go silent without an end. TLS
 * passes through it, so that it sees and changes nothing of what is said.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #silent = false;
  #refusing = false;
  #accepted = 0;

  private constructor(target: URL) {
    this.#target = { host: target.hostname, port: Number(target.port) };
    this.#server = createServer((client) => this.#relay(client));
  }

  /** Listens on a free port of 127.0.0.1, which the certificates of test clusters name. */
  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(new URL(target));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many connections have come so far. */
  get accepted(): number {
    return this.#accepted;
  }

  get open(): number {
    return this.#pairs.size;
  }

  #relay(client: Socket): void {
    this.#accepted++;
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#target);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [server, client] as const]) {
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (!this.#silent) from.pipe(to);
    }
  }

  /** Resets every connection that is open now; new ones are served. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Lets nothing more through on any connection, open or new, and closes none of them. */
  silence(): void {
    this.#silent = true;
    for (const pair of this.#pairs) silence(pair);
  }

  /** Resets every connection, open or new. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  /** Ends all faults. Connections that were silent are reset: what was lost in between does not come again. */
  heal(): void {
    this.#refusing = false;
    if (this.#silent) {
      this.#silent = false;
      this.cut();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function silence(pair: readonly [Socket, Socket]): void {
  for (const socket of pair) {
    socket.unpipe();
    socket.pause();
  }
}
