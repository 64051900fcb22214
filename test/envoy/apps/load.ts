/**
 * Requests at a steady rate from a process of its own, so that a busy test cannot distort them: every other one on a connection of
 * its own. Prints `{"started": true}` with the first answer of any kind, how far it is for each line of its standard input, and the result when that closes
 * or a limit is reached and every answer has come.
 */
import { Agent, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';
import type { TLSSocket } from 'node:tls';
import type { LoadConfig, LoadProgress, LoadResult } from './protocol.ts';

const config = JSON.parse(process.argv[2] ?? '{}') as LoadConfig;
const tls = config.tls === undefined ? undefined : { ca: config.tls.root, servername: config.tls.serverName };
const kept = tls === undefined ? new Agent({ keepAlive: true, maxSockets: 8 }) : new HttpsAgent({ keepAlive: true, maxSockets: 8, ...tls });

const failed: Record<string, number> = {};
const versions: Record<string, number> = {};
const certificates = new Set<string>();
const latencies: number[] = [];
let sent = 0;
let ok = 0;
let done = 0;
let onNewConnections = 0;
let stopping = false;
const start = performance.now();

function send(): void {
  const fresh = sent++ % 2 === 0;
  if (fresh) onNewConnections++;
  const begun = performance.now();
  let finished = false;
  const finish = (failure?: string): void => {
    if (finished) return;
    finished = true;
    done++;
    latencies.push(performance.now() - begun);
    if (failure === undefined) ok++;
    else failed[failure] = (failed[failure] ?? 0) + 1;
    if (done === 1) process.stdout.write(`${JSON.stringify({ started: true })}\n`);
    if (stopping && done === sent) report();
  };
  const options: RequestOptions = {
    host: config.address,
    port: config.port,
    path: config.path,
    headers: { ...config.headers, ...(config.host === undefined ? {} : { host: config.host }) },
    agent: fresh ? false : kept,
    ...tls,
  };
  const request = tls === undefined ? httpRequest(options) : httpsRequest(options);
  request.setTimeout(config.timeoutMs, () => {
    finish('timeout');
    request.destroy();
  });
  request.on('error', (fault: NodeJS.ErrnoException) => finish(fault.code ?? fault.message));
  request.on('response', (response) => {
    if (tls !== undefined) {
      // Empty on a resumed session, which showed its certificate before.
      const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
      if (serialNumber !== undefined) certificates.add(serialNumber);
    }
    response.resume();
    response.on('error', (fault: NodeJS.ErrnoException) => finish(`body: ${fault.code ?? fault.message}`));
    response.on('aborted', () => finish('body: aborted'));
    response.on('end', () => {
      const status = response.statusCode ?? 0;
      const version = String(response.headers['x-version'] ?? '');
      versions[version] = (versions[version] ?? 0) + 1;
      finish(status === 200 ? undefined : `status ${status}`);
    });
  });
  request.end();
}

function quantile(sorted: readonly number[], share: number): number {
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;
}

function report(): void {
  const sorted = latencies.sort((a, b) => a - b);
  const result: LoadResult = {
    sent,
    ok,
    failed,
    failures: sent - ok,
    onNewConnections,
    onKeptConnections: sent - onNewConnections,
    versions,
    certificates: [...certificates],
    durationMs: Math.round(performance.now() - start),
    latencyMs: { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: quantile(sorted, 1) },
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  clearInterval(timer);
  if (done === sent) report();
}

// By the clock, not by ticks: a late tick sends what it owes, so the rate holds.
const timer = setInterval(() => {
  const elapsed = performance.now() - start;
  const due = Math.min(Math.floor((elapsed * config.rate) / 1000) + 1, config.limitRequests ?? Infinity);
  while (sent < due) send();
  if (elapsed >= config.limitMs || sent >= (config.limitRequests ?? Infinity)) stop();
}, 2);
createInterface({ input: process.stdin })
  .on('line', () => process.stdout.write(`${JSON.stringify({ sent, done, failed } satisfies LoadProgress)}\n`))
  .once('close', stop);
