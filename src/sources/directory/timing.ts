/**
 * How long the source waits, in milliseconds. A file system does not say when a writer has finished, only when it last wrote: what was renamed into
 * its place is complete, what is written in place is believed after a quiet time, and longer where it looks cut off.
 */
export const timing = {
  /** Quiet time after an event anywhere in the folder: what is written together shall be applied together. */
  batch: 5,
  /** Quiet time of a file that is written in place. */
  settle: 10,
  /** The same where its content does not parse, ends within a line, or takes objects away; and before a missing file counts as deleted. */
  doubt: 250,
  /** A folder that never becomes quiet is read at least so often. */
  batchLimit: 500,
  /** A file that never becomes quiet is read at least so often, if it parses. */
  patience: 2_000,
  /** Everything is compared anew, for events that the system has lost (full queues, network file systems, targets of links). */
  rescan: 10_000,
} as const;
