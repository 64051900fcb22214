import { expect, test } from 'vitest';
import { breaches, budgetOf, parseBudget } from './budget.ts';
import { failuresOf, type Report } from './result.ts';
import { reportOf, resultOf } from './testing/reports.ts';

const budget = budgetOf(reportOf([resultOf('endpoint', { messages: 10, bytes: 1000, serverCpuMs: 20 })]));

function judge(costs: { messages?: number; bytes?: number; serverCpuMs?: number; failures?: number }): string[] {
  return breaches(budget, reportOf([resultOf('endpoint', { messages: 10, bytes: 1000, serverCpuMs: 20, ...costs })]));
}

test('CPU is kept relative to the calibration, messages and bytes as they are', () => {
  expect(budget.scenarios).toEqual({ endpoint: { messages: 10, bytes: 1000, cpu: 4 } });
});

test('a figure that is worse than allowed is named, with what is allowed', () => {
  expect(judge({})).toEqual([]);
  expect(judge({ messages: 11, bytes: 1100, serverCpuMs: 32 })).toEqual([]);
  expect(judge({ messages: 11.5 })).toEqual(['mizzen, endpoint: messages 11.5 a change, at most 11 is allowed']);
  expect(judge({ bytes: 1101 })).toEqual(['mizzen, endpoint: bytes 1101 a change, at most 1100 is allowed']);
  expect(judge({ serverCpuMs: 33 })).toEqual(['mizzen, endpoint: cpu 6.6 a change, at most 6.4 is allowed']);
  expect(judge({ failures: 2 })).toEqual(['mizzen, endpoint: 2 receipts are missing']);
});

test('a scenario may have an allowance of its own', () => {
  const strict = { ...budget, scenarios: { endpoint: { messages: 10, bytes: 1000, cpu: 4, allow: { bytes: 1 } } } };
  const report = reportOf([resultOf('endpoint', { messages: 11, bytes: 1001, serverCpuMs: 20 })]);
  expect(breaches(strict, report)).toEqual(['mizzen, endpoint: bytes 1001 a change, at most 1000 is allowed']);
});

test('another run, or none of its scenarios, cannot be judged', () => {
  const report = reportOf([resultOf('endpoint', {})]);
  const sotw: Report = { ...report, conditions: { ...report.conditions, protocol: 'sotw' } };
  expect(() => breaches(budget, sotw)).toThrow('the budget is of another run: protocol delta and not sotw');
  expect(() => breaches(budget, reportOf([resultOf('bulk', {})]))).toThrow('only endpoint');
  expect(breaches(budget, { ...report, conditions: { ...report.conditions, workers: 7 } })).toEqual([]);
});

test('a budget that is no budget is refused with its path', () => {
  expect(parseBudget(JSON.stringify(budget))).toEqual(budget);
  expect(() => parseBudget('{}')).toThrow('conditions is missing or no object');
  const wrong = { ...budget, scenarios: { endpoint: { messages: 1, bytes: -1, cpu: 1 } } };
  expect(() => parseBudget(JSON.stringify(wrong))).toThrow('scenarios.endpoint.bytes must be a number of 0 or more');
});

test('what never came is counted wherever it is: in receipts, in pushes meanwhile, at the real Envoy', () => {
  const [first, second] = [resultOf('endpoint', { failures: 2 }), resultOf('certificates', { failures: 1 })];
  const report = reportOf([
    { ...first, envoy: { cpuMs: 1, rssMb: 80, hasChange: false } },
    { ...second, pushes: { failures: 3 }, envoy: { cpuMs: 1, rssMb: 80, hasChange: true } },
  ]);
  expect(failuresOf(report)).toBe(7);
});
