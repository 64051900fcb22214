import type { Logger } from 'pino';
import { shortName } from '../wire/types.ts';
import type { Caller, ClaimedNode, StreamObserver, StreamStatus, TypeUrl } from '../xds/source.ts';

/** Envoy quotes whole messages in its refusals. */
const maxMessageLength = 2000;

/** Says in the log what happens on the streams: who comes and goes at `info`, who is refused and what is rejected at `warn`, each response at `debug`. */
export function streamLog(log: Logger): StreamObserver {
  return {
    connected: (stream: StreamStatus) =>
      log.info({ ...subject(stream), caller: callerText(stream.caller), protocol: stream.protocol }, 'proxy connected'),
    disconnected: (stream: StreamStatus, reason: string) => log.info({ ...subject(stream), reason }, 'proxy disconnected'),
    refused: (node: ClaimedNode | undefined, caller: Caller, reason: string) =>
      log.warn({ claimed: node?.id, caller: callerText(caller), reason }, 'proxy refused'),
    sent: (stream: StreamStatus, type: TypeUrl, bytes: number, resources: number, removed: number) =>
      log.debug({ ...subject(stream), type: shortName(type), bytes, resources, removed }, 'sent'),
    acked: (stream: StreamStatus, type: TypeUrl, nonce: string, latencyMs: number) =>
      log.debug({ ...subject(stream), type: shortName(type), nonce, latencyMs }, 'accepted'),
    rejected: (stream: StreamStatus, type: TypeUrl, names: readonly string[], message: string) =>
      log.warn(
        {
          ...subject(stream),
          type: shortName(type),
          resources: names.map((name) => ({ name, objects: stream.subscription.explain(type, name)?.objects ?? [] })),
          error: message.slice(0, maxMessageLength),
        },
        'proxy rejected configuration',
      ),
  };
}

function subject(stream: StreamStatus): { proxy: string } {
  return { proxy: stream.subscription.connectionId };
}

function callerText(caller: Caller): string {
  return caller.identity === undefined ? `${caller.address} without identity` : `${caller.address} as ${caller.identity.spiffeId}`;
}
