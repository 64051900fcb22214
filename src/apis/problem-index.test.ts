import { expect, test } from 'vitest';
import { objectKey } from './object.ts';
import { ProblemIndex } from './problem-index.ts';
import type { Problem } from './problem.ts';

const a = objectKey('VirtualService', 'shop', 'a');
const b = objectKey('VirtualService', 'shop', 'b');

function problem(object: Problem['object'], message: string): Problem {
  return { object, path: '', reason: 'Invalid', severity: 'error', message };
}

function index(): { readonly index: ProblemIndex; readonly told: string[] } {
  const made = new ProblemIndex();
  const told: string[] = [];
  made.listen((objects) => told.push([...objects].sort().join()));
  return { index: made, told };
}

test('what several places say of an object, and of all objects in the order of the places', () => {
  const { index: problems } = index();
  problems.set('2', [problem(a, 'two'), problem(b, 'two')]);
  problems.set('1', [problem(a, 'one')]);
  expect(problems.problems().map(({ object, message }) => `${object} ${message}`)).toEqual([`${a} one`, `${a} two`, `${b} two`]);
  expect(problems.problemsOf(a).map(({ message }) => message)).toEqual(['two', 'one']);
  problems.set('2', []);
  expect([problems.problemsOf(a).length, problems.problemsOf(b)]).toEqual([1, []]);
});

test('only objects are told of which something else is said', () => {
  const { index: problems, told } = index();
  problems.set('1', [problem(a, 'one'), problem(b, 'one')]);
  problems.set('1', [problem(a, 'one'), problem(b, 'one')]);
  problems.set('1', [problem(a, 'one'), problem(b, 'other')]);
  problems.set('1', [problem(a, 'one')]);
  problems.set('1', []);
  problems.set('1', []);
  expect(told).toEqual([`${a},${b}`, b, b, a]);
});
