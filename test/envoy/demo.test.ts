/** `npm run demo` as a newcomer runs it, without a terminal: the sample mesh with a real Envoy beside each workload. */
import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Answer } from '../../src/cli/demo/shop.ts';
import { Child } from './harness/child.ts';
import { needsEnvoy } from './harness/envoy.ts';
import { Folder } from './harness/folder.ts';
import { http } from './harness/http.ts';
import { eventually } from './harness/wait.ts';

needsEnvoy();

const root = join(import.meta.dirname, '..', '..');

/** Processes whose command line or environment names the folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return ['cmdline', 'environ'].some((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(folder));
    } catch {
      // Gone in the meantime, or another user's.
      return false;
    }
  });
}

test('the sample mesh comes up, shifts its canary without a failed request, and leaves nothing behind', { timeout: 120_000 }, async () => {
  using folder = new Folder('demo-test');
  const config = folder.at('bookshop');
  const temporary = folder.at('tmp');
  cpSync(join(root, 'deploy/samples/bookshop'), config, { recursive: true });
  mkdirSync(temporary);
  const log = folder.at('demo.log');
  await using demo = new Child({
    command: [process.execPath, join(root, 'src/main.ts'), 'demo', '--config', config, '--rate', '20'],
    log,
    env: { TMPDIR: temporary },
  });
  const line = (pattern: RegExp): Promise<RegExpExecArray> =>
    eventually(
      `a line like ${String(pattern)} in\n${demo.tail()}`,
      async () => {
        if (!demo.running) throw new Error(`the demo has ended:\n${demo.tail()}`);
        return pattern.exec(readFileSync(log, 'utf8')) ?? undefined;
      },
      60_000,
    );

  await line(/^in sync: all 7 proxies$/m);
  const url = new URL((await line(/^gateway: (http:\/\/\S+)$/m))[1] ?? '');
  const ask = async (): Promise<Answer> => {
    const { status, body } = await http({ address: url.hostname, port: Number(url.port), path: url.pathname });
    if (status !== 200) throw new Error(`${status}: ${body}`);
    return JSON.parse(body) as Answer;
  };
  const versionOf = (page: Answer): string => (page.body['reviews'] as Answer).version;

  const first = await eventually('an answer of the page', ask, 20_000);
  expect(first.caller).toBe('spiffe://cluster.local/ns/bookshop/sa/gateway');
  expect(first.body).toMatchObject({
    details: { service: 'details', caller: 'spiffe://cluster.local/ns/bookshop/sa/page' },
    reviews: { service: 'reviews', caller: 'spiffe://cluster.local/ns/bookshop/sa/page' },
  });

  // A share of 20 % of 200: the bounds are four standard deviations around 40.
  let v2 = 0;
  for (let i = 0; i < 200; i++) {
    const version = versionOf(await ask());
    expect(['v1', 'v2']).toContain(version);
    if (version === 'v2') v2++;
  }
  expect(v2).toBeGreaterThanOrEqual(17);
  expect(v2).toBeLessThanOrEqual(63);

  const before = readFileSync(join(config, 'reviews.yaml'), 'utf8');
  const shifted = before
    .replace('weight: 80', 'weight: 0')
    .replace('weight: 20', 'weight: 0')
    .replace(/(subset: v3\n\s+weight:) 0/, '$1 100');
  expect(shifted).not.toBe(before);
  folder.write('bookshop/reviews.yaml', shifted);
  const page = await eventually('an answer of reviews v3', async () => {
    const answer = await ask();
    return versionOf(answer) === 'v3' ? answer : undefined;
  });
  expect(page.body).toMatchObject({ reviews: { body: { ratings: { caller: 'spiffe://cluster.local/ns/bookshop/sa/reviews' } } } });
  for (let i = 0; i < 50; i++) expect(versionOf(await ask())).toBe('v3');

  // What does not come through the gateway's sidecar, or in plaintext, is refused.
  await expect(http({ address: '127.10.0.40', port: 9080 })).rejects.toThrow(/socket hang up|ECONNRESET/);

  expect(processesOf(temporary).length).toBeGreaterThanOrEqual(9);
  const summary = await line(/^requests: \d+ sent, (\d+) failed;.*mutual TLS: (.*)$/m);
  demo.signal('SIGTERM');
  await demo.exited();
  expect(demo.exitCode).toBe(0);
  expect(readdirSync(temporary)).toEqual([]);
  expect(processesOf(temporary)).toEqual([]);
  expect(summary.slice(1)).toEqual(['0', 'on, every hop']);
});
