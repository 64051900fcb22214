import { expect, test } from 'vitest';
import { createLog, parseLogLevels } from './log.ts';

function recorder(): { lines: Record<string, unknown>[]; write(text: string): void } {
  const lines: Record<string, unknown>[] = [];
  return { lines, write: (text) => lines.push(JSON.parse(text) as Record<string, unknown>) };
}

test('a line carries its scope and level, and a scope is silent below its level', () => {
  const to = recorder();
  const log = createLog({ ads: 'warn' }, to);
  log.scope('ads').info('connected');
  log.scope('ads').warn({ node: 'page' }, 'refused');
  log.scope('ca').info('issued');
  expect(to.lines).toMatchObject([
    { level: 'warn', scope: 'ads', node: 'page', msg: 'refused' },
    { level: 'info', scope: 'ca', msg: 'issued' },
  ]);
  expect(Object.keys(to.lines[0]!)).not.toContain('pid');
});

test('the level of a scope changes while it is in use', () => {
  const to = recorder();
  const log = createLog({}, to);
  const ads = log.scope('ads');
  ads.debug('before');
  log.setLevel('ads', 'debug');
  ads.debug('after');
  expect(to.lines.map((l) => l['msg'])).toEqual(['after']);
  expect(log.levels()).toMatchObject({ ads: 'debug', ca: 'info' });
});

test('--log-level names scopes, a level alone is for the rest', () => {
  expect(parseLogLevels('ads:debug,ca:warn')).toEqual({ ads: 'debug', ca: 'warn' });
  expect(parseLogLevels('warn, ads:debug')).toMatchObject({ default: 'warn', ads: 'debug', source: 'warn' });
  expect(() => parseLogLevels('adz:debug')).toThrow('"adz" is not a log scope; the scopes are default, ads');
  expect(() => parseLogLevels('loud')).toThrow('"loud" is not a log level');
});
