import { describe, expect, it } from 'vitest';
import { LineSplitter } from './lines.ts';

describe('LineSplitter', () => {
  it('gives the same lines for every cut of the bytes', () => {
    const bytes = Buffer.from('{"a":"ü"}\n\n{"b":"世"}\nrest');
    for (let cut = 0; cut <= bytes.length; cut++) {
      const splitter = new LineSplitter(100);
      const lines = [...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))];
      expect(lines).toEqual([{ text: '{"a":"ü"}' }, { text: '{"b":"世"}' }]);
      expect(splitter.pending).toBe(4);
    }
  });

  it('says only the size of a line that is too long, and goes on after it', () => {
    const splitter = new LineSplitter(3);
    expect([...splitter.push(Buffer.from('abcd')), ...splitter.push(Buffer.from('ef\nok\n'))]).toEqual([{ oversized: 6 }, { text: 'ok' }]);
  });
});
