import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { requestFile, statusFile } from '../../ca/folder-rotation.ts';
import type { CaStatus } from '../../ca/status.ts';
import { replaceStateFile } from '../../identity/privatefile.ts';
import { testFolder } from '../../identity/testing/folder.ts';
import { openDesk } from './desk.ts';
import { statusText } from './text.ts';

const status: CaStatus = {
  phase: 'signing',
  signer: { generation: 'bbb', root: 'bbb', origin: 'self-signed', notAfter: '2036-01-01T00:00:00.000Z' },
  roots: [
    { id: 'aaa', subject: 'O=cluster.local', notAfter: '2027-01-01T00:00:00.000Z', role: 'retiring' },
    { id: 'bbb', subject: 'O=cluster.local', notAfter: '2036-01-01T00:00:00.000Z', role: 'signing' },
  ],
  rotation: { reason: 'expiry', from: 'aaa', to: 'bbb', stagedAt: '2026-01-01T00:00:00.000Z', signingAt: '2026-01-01T00:02:00.000Z' },
  replicas: [
    { name: 'one', live: true, follows: true, proxies: 3, agents: 1, withoutRoots: 0, withoutLeaf: 1 },
    { name: 'two', live: false, follows: false, proxies: 0, agents: 0, withoutRoots: 0, withoutLeaf: 0 },
    { name: 'three', live: true, follows: false, proxies: 0, agents: 0, withoutRoots: 0, withoutLeaf: 0 },
  ],
  waits: ['1 proxy of replica one: page.bookshop'],
  lagging: ['page.bookshop'],
};

test('the status is a line of phases, and what people ask next', () => {
  expect(statusText(status, 'table')).toBe(`\
staged -> distributed -> [signing] -> retired
from aaa to bbb (expiry): staged 2026-01-01T00:00:00.000Z, signing 2026-01-01T00:02:00.000Z
signer bbb, self-signed, until 2036-01-01T00:00:00.000Z

ROOT  ROLE      EXPIRES                   SUBJECT
aaa   retiring  2027-01-01T00:00:00.000Z  O=cluster.local
bbb   signing   2036-01-01T00:00:00.000Z  O=cluster.local

REPLICA  STATE    PROXIES  AGENTS  WITHOUT ROOTS  WITHOUT CERTIFICATE
one      follows  3        1       0              1
two      gone     0        0       0              0
three    behind   0        0       0              0

waits for:
  1 proxy of replica one: page.bookshop

lagging proxies:
  page.bookshop
`);
  const { rotation: _, ...rest } = status;
  const stable = statusText({ ...rest, phase: 'stable', replicas: [], waits: [], lagging: [] }, 'table');
  expect(stable).toMatch(/^staged -> distributed -> signing -> retired {3}\(no rotation\)\nsigner bbb/);
  expect(JSON.parse(statusText(status, 'json'))).toEqual(status);
  expect(parse(statusText(status, 'yaml'))).toEqual(status);
});

test('on a folder the status is read and requests are left there, if a daemon has used it', async () => {
  const state = testFolder();
  const desk = await openDesk({ state }, { KUBECONFIG: '/nowhere' }, '/home/me');
  const request = { id: '1', action: 'rotate' } as const;
  await expect(desk.request(request)).rejects.toThrow(
    'status.json has no status of a certificate authority; is "mizzen discovery" running there?',
  );
  replaceStateFile(statusFile(state), JSON.stringify(status), 'public');
  expect(await desk.status()).toEqual(status);
  await desk.request(request);
  expect(JSON.parse(readFileSync(requestFile(state), 'utf8'))).toEqual(request);
});
