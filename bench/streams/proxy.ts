import type { Response } from './response.ts';

/** What a simulated proxy asks for and when, in one of the two protocols. */
export interface SimulatedStream {
  /** Begins on a new stream. After a reconnect it tells what it holds. */
  open(): void;
  receive(response: Response): void;
  /** Everything that was asked for has come. */
  readonly synced: boolean;
}

export interface StreamOptions {
  /** The encoded Node. */
  readonly node: Uint8Array;
  /** A message, in pieces. */
  readonly send: (request: readonly Buffer[]) => void;
  /** Names that it asks for over SDS, as soon as there are clusters. */
  readonly secrets?: readonly string[];
  /** A type that it refuses, once it is in sync; undefined: none. */
  readonly refusedType?: string;
}

/** What it says of a response that it refuses. */
export const refusalMessage = 'refused by the bench';
