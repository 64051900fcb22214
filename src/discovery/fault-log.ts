import type { Logger } from 'pino';

const againMs = 60_000;

/** Logs faults that come with every attempt while a server is away: at once, then once a minute with how many there were in between. */
export function faultLog(
  logger: Pick<Logger, 'warn'>,
  message: string,
  now: () => number = () => performance.now(),
): (error: unknown) => void {
  let toldAtMs = -Infinity;
  let untold = 0;
  return (error) => {
    if (now() - toldAtMs < againMs) {
      untold++;
      return;
    }
    logger.warn({ reason: error instanceof Error ? error.message : String(error), ...(untold > 0 && { since: untold }) }, message);
    toldAtMs = now();
    untold = 0;
  };
}
