import { expect, test } from 'vitest';
import { benchCommand, type Flags, parseNack, parseScenarios, parseSweep } from './flags.ts';
import { scenarioNames } from './scenarios/scenarios.ts';
import { sizesOf } from './sizes.ts';
import * as types from './streams/types.ts';
import { wrongFlags } from './wrong-flags.ts';

async function flagsOf(...args: string[]): Promise<Flags> {
  const got: Flags[] = [];
  const command = benchCommand((flags) => {
    got.push(flags);
    return Promise.resolve();
  });
  await command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .parseAsync(args, { from: 'user' });
  const [flags] = got;
  if (flags === undefined) throw new Error('the action was not called');
  return flags;
}

test('scenarios, shares and sizes are read, or refused in words', () => {
  expect(parseScenarios('all')).toEqual(scenarioNames);
  expect(parseScenarios('endpoint,bulk')).toEqual(['endpoint', 'bulk']);
  expect(() => parseScenarios('endpoint,nothing')).toThrow('There is no scenario nothing: choose from connect, endpoint');
  expect(parseNack('cds=0.1')).toEqual({ text: 'cds=0.1', type: types.clusters, share: 0.1 });
  expect(() => parseNack('sds=0.1')).toThrow('TYPE=SHARE');
  expect(() => parseNack('cds=2')).toThrow('above 0 and up to 1');
  expect(parseSweep('services=10,20')).toEqual({ dimension: 'services', values: [10, 20] });
  for (const wrong of ['services=10', 'services=20,10', 'bytes=1,2', 'services=10,10'])
    expect(() => parseSweep(wrong)).toThrow(/It must be|The sizes must be/);
});

test('a sweep gives a size for each value, with as many VirtualServices as fit', async () => {
  const flags = await flagsOf('--sweep', 'services=50,200', '--proxies', '10');
  expect(sizesOf(flags)).toEqual([
    { services: 50, virtualServices: 50, proxies: 10, layout: 'default' },
    { services: 200, virtualServices: 100, proxies: 10, layout: 'default' },
  ]);
});

test.each([
  [['--proxies', '0'], 'proxies must be 1 to'],
  [['--target', 'a=127.0.0.1:1,1'], '--target needs --folder, which the servers read'],
  [['--feed', 'kubernetes', '--target', 'a=127.0.0.1:1,1'], '--target needs --kubeconfig, which the servers read'],
  [['--target', 'a=127.0.0.1:1,1', '--folder', 'x', '--tls'], '--target with --tls needs --feed kubernetes, whose tokens it takes'],
  [['--target', 'a=127.0.0.1:1,1', '--folder', 'x', '--alone'], '--alone is for several --target'],
  [['--kubeconfig', 'x'], '--kubeconfig is for --feed kubernetes'],
  [['--feed', 'kubernetes', '--folder', 'x'], '--folder is for --feed folder'],
  [['--sds'], '--sds needs --tls'],
  [['--root', 'x'], '--root is for --target with --tls'],
  [['--no-calibration', '--budget', 'x'], 'a budget needs the calibration'],
  [['--write-budget', 'x', '--sweep', 'services=300,400'], '--write-budget is for one server at one size'],
  [['--slow-readers', '200'], 'at least one proxy must not be a slow reader'],
  [['--changes', '5000'], 'are more than 9000'],
  [['--changes', '0'], '--changes must be at least 1'],
  [['--workers', '0'], '--workers must be at least 1'],
])('%j are refused', async (args, message) => {
  expect(wrongFlags(await flagsOf(...args))).toContain(message);
});

test('the defaults are right together', async () => {
  expect(wrongFlags(await flagsOf())).toBeUndefined();
});

test('a running server is measured whatever mizzen the bench would start: npm run bench names one', async () => {
  const flags = await flagsOf('--main', 'dist/main.js', '--target', 'old=127.0.0.1:15010,4711', '--folder', '/tmp/mesh');
  expect(wrongFlags(flags)).toBeUndefined();
});
