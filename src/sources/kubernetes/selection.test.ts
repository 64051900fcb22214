import { describe, expect, it } from 'vitest';
import { matchesSelector, NamespaceSelection } from './selection.ts';

describe('matchesSelector', () => {
  it.each([
    [{ operator: 'In', values: ['a', 'b'] }, { env: 'a' }, true],
    [{ operator: 'In', values: ['a'] }, {}, false],
    [{ operator: 'NotIn', values: ['a'] }, { env: 'a' }, false],
    [{ operator: 'NotIn', values: ['a'] }, {}, true],
    [{ operator: 'Exists' }, { env: '' }, true],
    [{ operator: 'Exists' }, {}, false],
    [{ operator: 'DoesNotExist' }, {}, true],
    [{ operator: 'DoesNotExist' }, { env: 'a' }, false],
    [{ operator: 'Like' }, { env: 'a' }, false],
  ] as const)('%o of %o: %s', (expression, labels, matches) => {
    expect(matchesSelector({ matchExpressions: [{ key: 'env', ...expression }] }, labels)).toBe(matches);
  });
});

describe('NamespaceSelection', () => {
  it('has everything without selectors, then what any of them selects', () => {
    const selection = new NamespaceSelection();
    selection.setLabels('shop', { mesh: 'on' });
    expect([selection.has('shop'), selection.has('unknown')]).toEqual([true, true]);
    expect(selection.setSelectors([{ matchLabels: { mesh: 'on' } }, { matchLabels: { team: 'x' } }])).toBe(true);
    expect([selection.has('shop'), selection.has('unknown'), selection.has('')]).toEqual([true, false, true]);
    expect(selection.setLabels('other', { team: 'x' })).toBe(true);
    expect(selection.setLabels('other', { team: 'x', more: 'y' })).toBe(false);
    expect(selection.setLabels('shop', undefined)).toBe(true);
    expect([selection.has('shop'), selection.has('other')]).toEqual([false, true]);
  });
});
