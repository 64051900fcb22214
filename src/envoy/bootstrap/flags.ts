/** The command line that belongs to the bootstrap: these have no field in it. */
export interface FlagOptions {
  /** Worker threads. */
  readonly concurrency: number;
  /** How long replaced listeners and routes live on. */
  readonly drainSeconds: number;
}

export function envoyFlags({ concurrency, drainSeconds }: FlagOptions): string[] {
  return [
    // Envoy's default of 600 s keeps listeners and route tables that were replaced subscribed for so long.
    '--drain-time-s',
    String(drainSeconds),
    // Connections on a listener that goes are told to close at once, not at random over the drain time.
    '--drain-strategy',
    'immediate',
    '--concurrency',
    String(concurrency),
    // No second Envoy takes over sockets, and several may share one machine.
    '--disable-hot-restart',
  ];
}
