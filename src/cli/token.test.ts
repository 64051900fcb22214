import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { LocalTokenReviewer, loadTokenKey } from '../identity/localtoken.ts';
import { testFolder } from '../identity/testing/folder.ts';
import { runToken, tokenCommand } from './token.ts';

const base = { namespace: 'shop', serviceAccount: 'reviews', ttl: 60_000, audience: 'istio-ca' };
const at = (home: string, terminal = false) => ({ env: {}, home, terminal });

describe('mizzen token', () => {
  it('prints a token that the same state folder accepts, in a file without line end', async () => {
    const state = testFolder();
    const printed = await runToken({ ...base, state }, at('/nowhere'));
    expect(printed).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    const reviewed = await new LocalTokenReviewer(loadTokenKey(state), { now: Date.now }).review(printed);
    expect(reviewed).toMatchObject({ namespace: 'shop', serviceAccount: 'reviews' });
    expect(await runToken({ ...base, state }, at('/nowhere', true))).toMatch(/\n$/);
  });

  it('keeps its key in $MIZZEN_STATE, else under the home folder', async () => {
    const [home, own] = [testFolder(), testFolder()];
    await runToken(base, at(home));
    expect(statSync(join(home, '.local/state/mizzen/token-key.pem')).mode & 0o777).toBe(0o600);
    await runToken(base, { ...at(home), env: { MIZZEN_STATE: own } });
    expect(statSync(join(own, 'token-key.pem')).mode & 0o777).toBe(0o600);
  });

  it('says what the token says', async () => {
    const state = testFolder();
    const json = JSON.parse(await runToken({ ...base, state, output: 'json' }, at('/nowhere'))) as Record<string, string>;
    expect(Object.keys(json)).toEqual(['subject', 'audience', 'expiresAt', 'token']);
    expect(json['subject']).toBe('system:serviceaccount:shop:reviews');
    expect(decodeJwt(json['token'] ?? '').exp).toBe(Date.parse(json['expiresAt'] ?? '') / 1000);
    expect(parse(await runToken({ ...base, state, output: 'yaml' }, at('/nowhere')))).toMatchObject({ audience: 'istio-ca' });
    expect(await runToken({ ...base, state, output: 'table' }, at('/nowhere'))).toMatch(
      /^SUBJECT {5}system:serviceaccount:shop:reviews\nAUDIENCE {4}istio-ca\n/,
    );
  });

  it('replaces a file instead, readable by its owner alone', async () => {
    const state = testFolder();
    const file = join(state, 'token');
    expect(await runToken({ ...base, state, file }, at('/nowhere'))).toBe('');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(decodeJwt(readFileSync(file, 'utf8')).sub).toBe('system:serviceaccount:shop:reviews');
    expect(await runToken({ ...base, state, file, output: 'yaml' }, at('/nowhere'))).not.toContain('token:');
  });

  it('explains a wrong option', async () => {
    const lines: string[] = [];
    const command = tokenCommand()
      .exitOverride()
      .configureOutput({ writeErr: (text) => lines.push(text) });
    await expect(command.parseAsync(['--service-account', 'a', '--ttl', 'soon'], { from: 'user' })).rejects.toThrow(/--ttl/);
    expect(lines.join('')).toContain('"soon" is not a duration such as 90s, 12h or 1h30m');
  });
});
