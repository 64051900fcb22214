import { expect, test } from 'vitest';
import { parseTarget } from './target.ts';
import { usageOf } from './usage.ts';

test('a target is a name, an address and a process', () => {
  expect(parseTarget('istiod=127.0.0.1:15010,4711')).toEqual({ name: 'istiod', address: '127.0.0.1:15010', pid: 4711 });
  expect(parseTarget('v6=[::1]:15010,1')).toEqual({ name: 'v6', address: '[::1]:15010', pid: 1 });
  for (const wrong of ['127.0.0.1:15010,1', 'a=127.0.0.1,1', 'a=127.0.0.1:1', 'a=h:1,x'])
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
