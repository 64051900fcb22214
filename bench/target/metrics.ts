/** The delay of a server's event loop, from its Prometheus metrics. */

const limitMs = 5000;
/** prom-client's name; its histogram begins anew at every read. */
const metric = 'nodejs_eventloop_lag_p99_seconds';

/**
 * The 99th percentile since the last read, in ms; undefined when the server offers none. A read of the metrics is work for the server: not while its CPU
 * time is measured.
 */
export async function eventLoopP99Ms(url: string | undefined): Promise<number | undefined> {
  if (url === undefined) return undefined;
  const response = await fetch(url, { signal: AbortSignal.timeout(limitMs) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return readEventLoopP99Ms(await response.text());
}

export function readEventLoopP99Ms(text: string): number | undefined {
  const value = new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)`, 'm').exec(text)?.[1];
  const seconds = Number(value);
  return value === undefined || Number.isNaN(seconds) ? undefined : seconds * 1000;
}
