/** The bench itself, small: every scenario, in both protocols, and what makes it fail. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Discovery } from '../test/envoy/harness/discovery.ts';
import { parseBudget } from './report/budget.ts';
import { scenarioNames } from './scenarios/scenarios.ts';
import { runBench } from './testing/bench.ts';

const small = ['--services', '10', '--virtual-services', '3', '--proxies', '3', '--changes', '1', '--objects', '20', '--seconds', '1'];
const patience = 150_000;

test('every scenario that a folder can have reaches all proxies, over both protocols and TLS', { timeout: patience }, async () => {
  const { report, status, errors } = await runBench(
    ...small,
    '--scenario',
    'all',
    '--protocol',
    'mixed',
    '--tls',
    '--sds',
    '--quiet-ms',
    '50',
  );
  expect(errors).not.toContain('bench:');
  expect(status).toBe(0);
  const [target] = report.sizes[0]?.targets ?? [];
  expect(target?.skipped.map(({ scenario }) => scenario)).toEqual(['namespace-label']);
  expect(target?.scenarios.map(({ scenario }) => scenario)).toEqual(scenarioNames.filter((name) => name !== 'namespace-label'));
  for (const { scenario, receipts, pushes, serverCpuMs, eventLoopP99Ms, received } of target?.scenarios ?? []) {
    expect.soft([scenario, receipts.failures, pushes?.failures ?? 0]).toEqual([scenario, 0, 0]);
    expect.soft(receipts.spread?.p50, scenario).toBeGreaterThan(0);
    expect.soft(serverCpuMs, scenario).toBeGreaterThan(0);
    expect.soft(eventLoopP99Ms, scenario).toBeGreaterThan(0);
    expect.soft(received.messages, scenario).toBeGreaterThan(0);
  }
  const messages = (name: string) => target?.scenarios.find(({ scenario }) => scenario === name)?.received.messages;
  // One for each proxy.
  expect(messages('endpoint')).toBe(3);
  expect(report.calibration?.serverCpuMs).toBeGreaterThan(0);
});

test('replicas share the proxies, and a change reaches those of all', { timeout: patience }, async () => {
  const { report, status, errors } = await runBench(
    ...small,
    ...['--scenario', 'endpoint', '--replicas', '2', '--tls', '--quiet-ms', '50', '--no-calibration'],
  );
  expect(errors).not.toContain('bench:');
  expect(status).toBe(0);
  const endpoint = report.sizes[0]?.targets[0]?.scenarios.find(({ scenario }) => scenario === 'endpoint');
  expect(endpoint?.receipts.failures).toBe(0);
  expect(endpoint?.received.messages).toBe(3);
});

test(
  'running servers are measured one after the other, while the others stand still, and are compared',
  { timeout: patience },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mizzen-bench-targets-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const config = join(folder, 'mesh');
    mkdirSync(config);
    const start = (name: string): Promise<Discovery> =>
      Discovery.start({ config, state: join(folder, 'state'), log: join(folder, `${name}.log`), flags: ['--log-level', 'warn'] });
    await using first = await start('first');
    await using second = await start('second');
    const targets = [first, second].flatMap(({ addresses: { address, grpc, adminAddress, monitoring }, pid }, i) => {
      return ['--target', `m${i}=${address}:${grpc},${pid},metrics=http://${adminAddress}:${monitoring}/metrics`];
    });
    const { report, status, errors } = await runBench(
      ...small,
      ...['--scenario', 'endpoint', '--folder', config, ...targets, '--alone', '--quiet-ms', '50', '--no-calibration'],
    );
    expect(errors).not.toContain('bench:');
    expect(status).toBe(0);
    const results = report.sizes[0]?.targets ?? [];
    expect(results.map(({ target }) => target)).toEqual(['m0', 'm1']);
    for (const { scenarios } of results)
      expect(scenarios.map(({ scenario, receipts, received }) => [scenario, receipts.failures, received.messages > 0])).toEqual([
        ['connect', 0, true],
        ['endpoint', 0, true],
      ]);
    // Both serve again: nobody stands still after the run.
    for (const { addresses } of [first, second]) {
      const answer = await fetch(`http://${addresses.adminAddress}:${addresses.http}/ready`, { signal: AbortSignal.timeout(10_000) });
      expect(answer.status).toBe(200);
    }
  },
);

test('a run that costs more than its budget names what is worse', { timeout: patience }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mizzen-bench-budget-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'budget.json');
  const run = (...args: string[]) => runBench(...small, '--scenario', 'endpoint', '--quiet-ms', '50', ...args);
  expect((await run('--write-budget', file)).status).toBe(0);
  const budget = parseBudget(readFileSync(file, 'utf8'));
  expect(budget.scenarios['endpoint']?.messages).toBe(3);
  // CPU time says nothing on a machine that does other things as well.
  const strict = { ...budget, scenarios: { endpoint: { messages: 2, bytes: 1, cpu: 1e6 } } };
  writeFileSync(file, JSON.stringify(strict));
  const { status, errors } = await run('--budget', file);
  expect(status).toBe(1);
  expect(errors).toContain('bench: mizzen, endpoint: messages 3 a change, at most 2.2 is allowed');
  expect(errors).toMatch(/bench: mizzen, endpoint: bytes \d+ a change, at most 1.1 is allowed/);
});

test('proxies that do not get in sync in time make it fail', { timeout: patience }, async () => {
  const { status, errors } = await runBench(...small, '--scenario', 'endpoint', '--limit', '1', '--no-calibration');
  expect(status).toBe(1);
  expect(errors).toContain('bench: 3 of 3 proxies were not in sync within 1 ms');
});

test('a wrong command line ends with 2 and says what to do', { timeout: patience }, async () => {
  expect(await runBench('--services', '2')).toMatchObject({
    status: 2,
    errors: expect.stringContaining('services must be 3 to 10000, not 2'),
  });
  const other = await runBench(...small, '--budget', join(import.meta.dirname, 'budget.json'));
  expect(other).toMatchObject({ status: 2, errors: expect.stringContaining('the budget is of another run: services 100 and not 10') });
  expect(await runBench('--scenario', 'nothing')).toMatchObject({ status: 2, errors: expect.stringContaining('choose from connect') });
});
