/** Hands connections from an address that a network namespace reaches on to one that it does not. */
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

export class Relay implements Disposable {
  readonly #sockets = new Set<Socket>();
  readonly #close: () => void;
  readonly port: number;

  private constructor(port: number, close: () => void, sockets: Set<Socket>) {
    this.port = port;
    this.#close = close;
    this.#sockets = sockets;
  }

  static async start(listen: string, target: string): Promise<Relay> {
    const { hostname, port } = new URL(`tcp://${target}`);
    const sockets = new Set<Socket>();
    const server = createServer((incoming) => {
      const outgoing = connect(Number(port), hostname.replace(/^\[|\]$/g, ''));
      for (const [socket, other] of [
        [incoming, outgoing],
        [outgoing, incoming],
      ] as const) {
        sockets.add(socket);
        socket.setNoDelay(true);
        socket.pipe(other);
        // The other side learns of it by its end.
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, listen, resolve);
    });
    return new Relay((server.address() as AddressInfo).port, () => server.close(), sockets);
  }

  [Symbol.dispose](): void {
    this.#close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
