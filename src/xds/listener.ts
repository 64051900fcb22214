import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net';
import { Server, type ServerCredentials } from '@grpc/grpc-js';
import { straightToHttp2 } from './outgoing.ts';
import { Sessions } from './sessions.ts';

export interface ListenerOptions {
  readonly credentials: ServerCredentials;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Default 20,000. */
  readonly maxConnections?: number;
  /** Asked for each connection, before anything is spent on it. One that is not accepted is reset. Default: all are. */
  readonly accepts?: () => boolean;
}

/** Largest request: a reconnecting proxy claims a name and a version for each resource that it has. */
const maxRequestBytes = 4 * 1024 * 1024;

/** A gRPC server for the discovery services, with limits and keepalive. Services are added to it before it listens. */
export function createGrpcServer(): Server {
  const sessions = new Sessions();
  const server = new Server({
    'grpc.max_receive_message_length': maxRequestBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': 10_000,
    // A peer that has gone without a word is noticed after 50 s.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 20_000,
    // Megabytes of one connection's session, see node:http2; a large first answer is one message.
    'grpc-node.max_session_memory': 1024,
    interceptors: [
      (method, call) => {
        sessions.note(call);
        return straightToHttp2(method, call);
      },
    ],
  });
  sessionsOf.set(server, sessions);
  return server;
}

const sessionsOf = new WeakMap<Server, Sessions>();

/** One port of a gRPC server. The sockets are ours, because grpc-js has no means to break the connection of a peer that does not read. */
export class Listener {
  readonly port: number;
  readonly #net: NetServer;
  readonly #sockets: ReadonlyMap<string, Socket>;
  readonly #sessions: Sessions | undefined;
  readonly #drain: () => void;

  private constructor(net: NetServer, sockets: ReadonlyMap<string, Socket>, sessions: Sessions | undefined, drain: () => void) {
    this.#net = net;
    this.#sockets = sockets;
    this.#sessions = sessions;
    this.#drain = drain;
    this.port = (net.address() as AddressInfo).port;
  }

  /** Fails when the address cannot be bound. */
  static async listen(
    server: Server,
    { credentials, host, port, maxConnections = 20_000, accepts = () => true }: ListenerOptions,
  ): Promise<Listener> {
    const injector = server.createConnectionInjector(credentials);
    const sockets = new Map<string, Socket>();
    const net = createServer({ noDelay: true, keepAlive: true }, (socket) => {
      if (!accepts()) {
        socket.resetAndDestroy();
        return;
      }
      const peer = `${socket.remoteAddress}:${socket.remotePort}`;
      sockets.set(peer, socket);
      socket.once('close', () => sockets.delete(peer));
      // The HTTP/2 session reports its errors itself; before there is one nobody else listens.
      socket.on('error', () => undefined);
      injector.injectConnection(socket);
    });
    net.maxConnections = maxConnections;
    await new Promise<void>((resolve, reject) => {
      net.once('error', reject);
      net.listen({ host, port, backlog: 4096 }, () => {
        net.off('error', reject);
        resolve();
      });
    });
    return new Listener(net, sockets, sessionsOf.get(server), () => injector.destroy());
  }

  /** `peer` as grpc-js names it: `address:port`. */
  breakConnection(peer: string): void {
    this.#sockets.get(peer)?.destroy();
  }

  /** Lets nothing more begin on the connection, and closes it when its streams have ended. */
  closeConnection(peer: string): void {
    if (this.#sessions?.close(peer) !== true) this.breakConnection(peer);
  }

  /** Takes no more connections and breaks those that are left after `graceMs`. */
  async close(graceMs = 1000): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    this.#drain();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets.values()) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(timer);
  }
}
