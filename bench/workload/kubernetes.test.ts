import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { kubeconfig } from '../../test/cluster/harness/kubeconfig.ts';
import { readKubeconfig } from './kubernetes.ts';

function fileOf(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'mizzen-kubeconfig-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'config');
  writeFileSync(path, text);
  return path;
}

test('a kubeconfig with certificates or a token gives access, another one is refused with what is missing', () => {
  const server = 'https://127.0.0.1:6443';
  const certificate = { certificate: 'CERT', key: 'KEY' };
  expect(readKubeconfig(fileOf(kubeconfig({ server, ca: 'CA', user: certificate })))).toEqual({ server, ca: 'CA', user: certificate });
  expect(readKubeconfig(fileOf(kubeconfig({ server, ca: 'CA', user: { token: 't' } })))).toEqual({
    server,
    ca: 'CA',
    user: { token: 't' },
  });
  expect(() => readKubeconfig(fileOf('current-context: x'))).toThrow('current-context "x" names no cluster and user');
  const withoutUser = JSON.parse(kubeconfig({ server, ca: 'CA', user: { token: '' } })) as { users: { user: object }[] };
  for (const user of withoutUser.users) user.user = { exec: {} };
  expect(() => readKubeconfig(fileOf(JSON.stringify(withoutUser)))).toThrow('its user needs a token, or client-certificate-data');
});
