import { describe, expect, it } from 'vitest';
import { splitChunks } from './chunks.ts';
import { FieldLines, parseYaml } from './yaml.ts';

describe('splitChunks', () => {
  it('splits at markers and keeps the lines', () => {
    expect(splitChunks('a: 1\n---\nb: 2\n--- # comment\nc: |\n  ---\n  x\n---x: y\n')).toEqual([
      { text: 'a: 1\n', line: 1 },
      { text: '---\nb: 2\n', line: 2 },
      { text: '--- # comment\nc: |\n  ---\n  x\n---x: y\n', line: 4 },
    ]);
  });

  it('leaves out what is empty, and keeps directives with their document', () => {
    expect(splitChunks('# license\n\n---\n# nothing\n---\r\na: 1\r\n---\n')).toEqual([{ text: '---\r\na: 1\r\n', line: 5 }]);
    expect(splitChunks('%YAML 1.2\n# x\n---\na: 1\n---\nb: 2')).toEqual([
      { text: '%YAML 1.2\n# x\n---\na: 1\n', line: 1 },
      { text: '---\nb: 2', line: 5 },
    ]);
    expect(splitChunks('')).toEqual([]);
  });
});

describe('parseYaml', () => {
  it('reads as Kubernetes does', () => {
    const { values, faults } = parseYaml('base: &b {x: 1}\nmerged:\n  <<: *b\n  y: 2\nname: yes\nquoted: "1"\n');
    expect(faults).toEqual([]);
    expect(values.map(({ value }) => value)).toEqual([{ base: { x: 1 }, merged: { x: 1, y: 2 }, name: 'yes', quoted: '1' }]);
  });

  it.each([
    ['a: "x', 1],
    ['a: 1\na: 2', 2],
    ['a: 1\n\tb: 2', 2],
    ['a: [1, 2\nb: 3', 2],
    ['a: *nobody', 1],
  ])('names the line of a fault in %j', (text, line) => {
    const { values, faults } = parseYaml(text);
    expect(values).toEqual([]);
    expect(faults[0]?.line).toBe(line);
    expect(faults[0]?.message).not.toBe('');
  });

  it('finds the lines of fields, through aliases too, and else of what is around them', () => {
    const text = 'a:\n  - b: 1\n    "c.d": 2\n  - &x\n    e: 3\nf: *x\n';
    const lines = new FieldLines();
    expect(lines.lineOf(text, 0, ['a', 0, 'c.d'])).toBe(3);
    expect(lines.lineOf(text, 0, ['a', 1, 'e'])).toBe(5);
    expect(lines.lineOf(text, 0, ['f', 'e'])).toBe(5);
    expect(lines.lineOf(text, 0, ['a', 0, 'missing', 'deep'])).toBe(2);
    expect(lines.lineOf(text, 1, ['a'])).toBeUndefined();
  });
});
