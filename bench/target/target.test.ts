import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { parseTarget } from './target.ts';
import { readEventLoopP99Ms } from './metrics.ts';
import { forgetPeak, idle, usageOf } from './usage.ts';

test('a target is a name, and an address and a process for each replica', () => {
  expect(parseTarget('istiod=127.0.0.1:15010,4711')).toEqual({ name: 'istiod', replicas: [{ address: '127.0.0.1:15010', pid: 4711 }] });
  expect(parseTarget('v6=[::1]:15010,1')).toEqual({ name: 'v6', replicas: [{ address: '[::1]:15010', pid: 1 }] });
  expect(parseTarget('m=127.0.0.1:15010,1,metrics=http://127.0.0.1:15014/metrics')).toEqual({
    name: 'm',
    replicas: [{ address: '127.0.0.1:15010', pid: 1, metrics: 'http://127.0.0.1:15014/metrics' }],
  });
  expect(parseTarget('two=127.0.0.1:15010,1,metrics=http://127.0.0.1:15014/metrics+127.0.0.1:16010,2').replicas).toEqual([
    { address: '127.0.0.1:15010', pid: 1, metrics: 'http://127.0.0.1:15014/metrics' },
    { address: '127.0.0.1:16010', pid: 2 },
  ]);
  for (const wrong of ['127.0.0.1:15010,1', 'a=127.0.0.1,1', 'a=127.0.0.1:1', 'a=h:1,x', 'a=h:1,1,metrics=x', 'a=h:1,1+h:2'])
    expect(() => parseTarget(wrong)).toThrow(`"${wrong}" is not NAME=HOST:PORT,PID`);
});

test('the usage of this process is what Node says of it', () => {
  const before = usageOf(process.pid);
  const began = process.cpuUsage();
  while (process.cpuUsage(began).user < 50_000) Math.sqrt(process.pid);
  const after = usageOf(process.pid);
  const { user, system } = process.cpuUsage(began);
  const used = after.cpuMs - before.cpuMs;
  expect(used).toBeGreaterThan(40);
  expect(Math.abs(used - (user + system) / 1000)).toBeLessThan(20);
  expect(after.peakRssMb).toBeGreaterThanOrEqual(after.rssMb);
  expect(after.rssMb).toBeGreaterThan(20);
  expect(() => usageOf(2 ** 30)).toThrow('process 1073741824 is not there');
});

test('the event loop delay is in ms, and there is none where the server does not tell', () => {
  const text =
    '# TYPE nodejs_eventloop_lag_p99_seconds gauge\nnodejs_eventloop_lag_p99_seconds 0.0125\nnodejs_eventloop_lag_p90_seconds 1\n';
  expect(readEventLoopP99Ms(text)).toBe(12.5);
  expect(readEventLoopP99Ms('nodejs_eventloop_lag_p99_seconds{revision="a"} 0.001\n')).toBe(1);
  expect(readEventLoopP99Ms('go_goroutines 7\n')).toBeUndefined();
  expect(readEventLoopP99Ms('nodejs_eventloop_lag_p99_seconds NaN\n')).toBeUndefined();
});

test('the peak is measured anew', async () => {
  // What is freed by the collector goes back to the system at once: it was mapped alone.
  const script = `
    (() => Buffer.alloc(200 << 20, 1).length)();
    setImmediate(() => { gc(); setImmediate(() => process.send(process.memoryUsage.rss())); });
    process.on('disconnect', () => process.exit());`;
  const child = spawn(process.execPath, ['--expose-gc', '-e', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  onTestFinished(() => child.disconnect());
  await once(child, 'message');
  const pid = child.pid ?? 0;
  expect(usageOf(pid).peakRssMb).toBeGreaterThan(200);
  expect(forgetPeak(pid)).toBe(true);
  expect(usageOf(pid).peakRssMb).toBeLessThan(150);
  expect(forgetPeak(2 ** 30)).toBe(false);
});

test('a process is waited for until it does nothing', async () => {
  const script = 'process.on("disconnect", () => process.exit()); process.on("message", () => { for (;;) Math.sqrt(2); }); process.send(1)';
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await once(child, 'message');
  const pid = child.pid ?? 0;
  await idle(pid, 10_000);
  child.send('work');
  await expect(idle(pid, 1)).rejects.toThrow(`process ${pid} is not idle after 1 ms`);
});
