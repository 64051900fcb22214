import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { envoyBinary, parseVersion } from './envoy.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'mizzen-envoy-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

function fakeEnvoy(version: string): string {
  const path = join(dir, 'envoy');
  writeFileSync(path, `#!/bin/sh\necho "envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/${version}/Clean/RELEASE/BoringSSL"\n`);
  chmodSync(path, 0o755);
  return path;
}

test('the version is read from the output of --version', () => {
  expect(parseVersion('\nenvoy  version: 9e55809/1.40.0/Clean/RELEASE/BoringSSL\n')).toBe('1.40.0');
  expect(parseVersion('something else')).toBeUndefined();
});

test('$ENVOY is taken when it is version 1.40, and refused with its version otherwise', async () => {
  vi.stubEnv('ENVOY', fakeEnvoy('1.40.2'));
  await expect(envoyBinary()).resolves.toBe(join(dir, 'envoy'));
  fakeEnvoy('1.4.0');
  await expect(envoyBinary()).rejects.toThrow('version 1.4.0; 1.40 is needed');
  vi.stubEnv('ENVOY', join(dir, 'missing'));
  await expect(envoyBinary()).rejects.toThrow('does not run');
});

test('an Envoy 1.40 in PATH is taken', async () => {
  fakeEnvoy('1.40.0');
  vi.stubEnv('ENVOY', '');
  vi.stubEnv('PATH', `${dir}${delimiter}${process.env['PATH'] ?? ''}`);
  await expect(envoyBinary()).resolves.toBe(join(dir, 'envoy'));
});
