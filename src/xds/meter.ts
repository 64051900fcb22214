import type { TypeUrl } from './source.ts';

/** What the streams measure of themselves beside what `StreamObserver` is told. All calls are synchronous, cheap and must not throw. */
export interface StreamMeter {
  /** A response was decided, put together and handed to the transport; `ms` of work since the stream's turn began or its last response left. */
  built(type: TypeUrl, ms: number): void;
  /** The network took a response `ms` after it was handed over. */
  taken(type: TypeUrl, ms: number): void;
  /** A stream is ended because it reads nothing; a response of this type is the first that it has not taken. */
  stalled(type: TypeUrl): void;
  /** A request answers a response that is not known, or not the last one any more. */
  nonceExpired(type: TypeUrl): void;
  /** A fault of ours ended a stream. */
  faulted(): void;
}

/** For streams that nobody measures. */
export const noMeter: StreamMeter = { built() {}, taken() {}, stalled() {}, nonceExpired() {}, faulted() {} };
