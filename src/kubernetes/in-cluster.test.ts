import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inClusterAccess } from './in-cluster.ts';

function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mizzen-account-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function access(folder: string): { credentials: ReturnType<typeof inClusterAccess>['credentials']; clock: { ms: number } } {
  const clock = { ms: 0 };
  const { credentials } = inClusterAccess({ host: '10.96.0.1', port: '443', clock: { now: () => clock.ms }, folder });
  return { credentials, clock };
}

function write(folder: string, token: string): void {
  writeFileSync(join(folder, 'token'), `${token}\n`);
  writeFileSync(join(folder, 'ca.crt'), 'root');
}

describe('inClusterAccess', () => {
  it('names the server, also by an IPv6 address', () => {
    const clock = { now: () => 0 };
    expect(inClusterAccess({ host: '10.96.0.1', port: '443', clock }).server).toBe('https://10.96.0.1:443');
    expect(inClusterAccess({ host: 'fd00::1', port: '6443', clock }).server).toBe('https://[fd00::1]:6443');
  });

  it('reads a rotated token within a minute, and keeps the last one while there is none', async () => {
    const folder = testFolder();
    write(folder, 'first');
    const { credentials, clock } = access(folder);
    expect(await credentials()).toEqual({ ca: 'root', headers: { authorization: 'Bearer first' } });
    write(folder, 'second');
    expect((await credentials()).headers).toEqual({ authorization: 'Bearer first' });
    clock.ms = 60_000;
    expect((await credentials()).headers).toEqual({ authorization: 'Bearer second' });
    rmSync(join(folder, 'token'));
    clock.ms = 120_000;
    expect((await credentials()).headers).toEqual({ authorization: 'Bearer second' });
  });

  it('names the file that is missing', async () => {
    const folder = testFolder();
    writeFileSync(join(folder, 'ca.crt'), 'root');
    await expect(access(folder).credentials()).rejects.toThrow(join(folder, 'token'));
  });
});
