/** The HTTP/2 sessions of a server's connections, so that a single one can be closed in order: grpc-js can do that for all at once alone. */
import type { Http2Session } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { streamOf } from './http2-stream.ts';

export class Sessions {
  readonly #byPeer = new Map<string, Http2Session>();

  /** Sessions are known by their calls. */
  note(call: ServerInterceptingCallInterface): void {
    const session = streamOf(call)?.session;
    const peer = call.getPeer();
    if (session === undefined || this.#byPeer.get(peer) === session) return;
    this.#byPeer.set(peer, session);
    session.once('close', () => {
      if (this.#byPeer.get(peer) === session) this.#byPeer.delete(peer);
    });
  }

  /** Sends GOAWAY: the peer begins nothing more on this connection, and it is closed when its streams have ended. False where no session is known. */
  close(peer: string): boolean {
    const session = this.#byPeer.get(peer);
    session?.close();
    return session !== undefined;
  }
}
