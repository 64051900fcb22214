/** How a long translation lets streams have their turn. */
export interface Turns {
  /** Runs the task when other work has had its turn. */
  readonly later: (task: () => void) => void;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  /** Longest turn. Default 10 ms. */
  readonly longestMs?: number;
  /** Streams have something to send and wait for their turn. */
  readonly isServing?: () => boolean;
}
