import type { Caller, ClaimedNode, StreamObserver, StreamStatus, TypeUrl } from '../xds/source.ts';

/** The streams that are connected now, oldest first. */
export class StreamRegistry implements StreamObserver {
  readonly #streams = new Set<StreamStatus>();

  streams(): readonly StreamStatus[] {
    return [...this.#streams];
  }

  connected(stream: StreamStatus): void {
    this.#streams.add(stream);
  }

  disconnected(stream: StreamStatus): void {
    this.#streams.delete(stream);
  }

  refused(): void {}
  sent(): void {}
  acked(): void {}
  rejected(): void {}
}

/**
 * The stream whose connection id contains `proxy`, as istiod's `proxyID` is matched. One that equals the id, or the proxy's `name.namespace`, is
 * preferred to one that contains it.
 */
export function findStream(streams: readonly StreamStatus[], proxy: string): StreamStatus | undefined {
  return (
    streams.find((s) => s.subscription.connectionId === proxy) ??
    streams.find((s) => proxyName(s.subscription.node.id) === proxy) ??
    streams.find((s) => s.subscription.connectionId.includes(proxy))
  );
}

/** `name.namespace`: the third of the four parts of a node id, which is what istiod and istioctl call the proxy. */
export function proxyName(nodeId: string): string {
  return nodeId.split('~')[2] ?? nodeId;
}

/** One observer that tells several, in order. */
export function combineObservers(...observers: readonly StreamObserver[]): StreamObserver {
  return {
    connected: (stream: StreamStatus) => observers.forEach((o) => o.connected(stream)),
    disconnected: (stream: StreamStatus, reason: string) => observers.forEach((o) => o.disconnected(stream, reason)),
    refused: (node: ClaimedNode | undefined, caller: Caller, reason: string) => observers.forEach((o) => o.refused(node, caller, reason)),
    sent: (stream: StreamStatus, type: TypeUrl, bytes: number, resources: number, removed: number) =>
      observers.forEach((o) => o.sent(stream, type, bytes, resources, removed)),
    acked: (stream: StreamStatus, type: TypeUrl, nonce: string, latencyMs: number) =>
      observers.forEach((o) => o.acked(stream, type, nonce, latencyMs)),
    rejected: (stream: StreamStatus, type: TypeUrl, names: readonly string[], message: string, code?: number) =>
      observers.forEach((o) => o.rejected(stream, type, names, message, code)),
  };
}
