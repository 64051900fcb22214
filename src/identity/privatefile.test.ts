import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadOrCreateStateFile, readStateFile, replaceStateFile } from './privatefile.ts';
import { testFolder } from './testing/folder.ts';

describe('files of the state folder', () => {
  it('are made once, secret ones with mode 0600 in a folder for the owner alone', () => {
    const path = join(testFolder(), 'state', 'ca', 'key.pem');
    expect(loadOrCreateStateFile(path, 'secret', () => 'first')).toBe('first');
    expect(loadOrCreateStateFile(path, 'secret', () => 'second')).toBe('first');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(path, '..'))).toEqual(['key.pem']);
  });

  it('hold what the winner wrote when two processes make them at once', () => {
    const path = join(testFolder(), 'key.pem');
    const text = loadOrCreateStateFile(path, 'secret', () => {
      loadOrCreateStateFile(path, 'secret', () => 'the other process');
      return 'this process';
    });
    expect(text).toBe('the other process');
    expect(readdirSync(join(path, '..'))).toEqual(['key.pem']);
  });

  it('are replaced as a whole and keep no remains', () => {
    const path = join(testFolder(), 'token');
    replaceStateFile(path, 'old', 'secret');
    replaceStateFile(path, 'new', 'secret');
    expect(readStateFile(path, 'secret')).toBe('new');
    expect(readdirSync(join(path, '..'))).toEqual(['token']);
  });

  it('are refused when others can read a secret, with what to do', () => {
    const path = join(testFolder(), 'key.pem');
    writeFileSync(path, 'x');
    chmodSync(path, 0o640);
    expect(() => readStateFile(path, 'secret')).toThrow(
      `${path} has mode 0640: a private key that others can read is not used. Make it "chmod 600"`,
    );
    expect(readStateFile(path, 'public')).toBe('x');
  });

  it('are refused when they are no file or too large, and absent ones are undefined', () => {
    const folder = testFolder();
    mkdirSync(join(folder, 'dir'));
    writeFileSync(join(folder, 'large'), Buffer.alloc(2 * 1024 * 1024), { mode: 0o600 });
    expect(() => readStateFile(join(folder, 'dir'), 'public')).toThrow(/dir is not a regular file/);
    expect(() => readStateFile(join(folder, 'large'), 'secret')).toThrow(/large has 2097152 bytes/);
    expect(readStateFile(join(folder, 'none'), 'secret')).toBeUndefined();
  });
});
