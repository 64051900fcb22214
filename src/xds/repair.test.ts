import { describe, expect, test } from 'vitest';
import { Repair, suspectsIn } from './repair.ts';

describe('the names that an error blames', () => {
  test.each([
    ['Error adding/updating listener(s) bad: no such filter', ['good', 'bad'], ['bad']],
    ['Error adding/updating cluster(s) a|1||h: no\nb|1||h: no', ['a|1||h', 'b|1||h', 'c'], ['a|1||h', 'b|1||h']],
    // The text form of a resource mentions others further on.
    [
      'goo.gle/debugonly name: "bad2" address { } filters { name: "good" } : Proto constraint validation failed',
      ['good', 'bad2'],
      ['bad2'],
    ],
    ['missing ): (((', ['a', 'b'], []],
    // Part of a word is no name.
    ['Error adding/updating listener(s) bad: x', ['ad', 'b', 'bad-2'], []],
  ])('%s', (message, names, suspects) => {
    expect(suspectsIn(message, names)).toEqual(suspects);
  });
});

describe('a repair', () => {
  const refused = (names: readonly string[], message = '') => ({
    versions: new Map(names.map((name) => [name, '1'])),
    removed: [],
    message,
  });

  test('of a single resource has nothing to send', () => {
    const repair = new Repair();
    repair.refused(refused(['a']));
    expect([repair.next(), repair.heldBack, repair.isDone]).toEqual([undefined, ['a'], false]);
  });

  test('ends after a bounded number of refusals, with all that is in doubt held back', () => {
    const repair = new Repair();
    const names = Array.from({ length: 1000 }, (_, i) => `n${i}`);
    repair.refused(refused(names));
    let responses = 0;
    for (let group = repair.next(); group !== undefined; group = repair.next()) {
      responses++;
      repair.sent(`${responses}`);
      repair.refusedAgain(`${responses}`, refused(group.names));
    }
    expect(responses).toBeLessThan(200);
    expect(repair.heldBack).toHaveLength(1000);
  });

  test('what is held back is tried again alone when it changes, and forgotten when it goes', () => {
    const repair = new Repair();
    repair.refused(refused(['a', 'b', 'c'], 'Error adding/updating cluster(s) a: x\nb: y'));
    expect(repair.next()).toEqual({ names: ['c'], removed: [] });
    repair.sent('1');
    expect([repair.excludes('a'), repair.excludes('c'), repair.excludes('d')]).toEqual([true, true, false]);
    expect(repair.changed('a', '1')).toBe('wait');
    expect(repair.changed('b', undefined)).toBe('remove');
    expect(repair.changed('a', '2')).toBe('wait');
    expect(repair.next()).toBeUndefined();
    repair.accepted('1');
    expect(repair.next()).toEqual({ names: ['a'], removed: [] });
    repair.sent('2');
    repair.accepted('2');
    expect(repair.isDone).toBe(true);
  });
});
