import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { issueToken, LocalTokenReviewer, loadTokenKey, signToken, tokenKeyFile } from './localtoken.ts';
import { isRefusal } from './proof.ts';
import { testFolder } from './testing/folder.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const account = { namespace: 'shop', serviceAccount: 'reviews' };
const reviewer = (at = now, audiences?: string[]): LocalTokenReviewer =>
  new LocalTokenReviewer(key, { now: () => at, ...(audiences && { audiences }) });
const reasonFor = async (token: string, by = reviewer()): Promise<string> => {
  const result = await by.review(token);
  return isRefusal(result) ? result.reason : 'accepted';
};
const goodClaims = { 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'reviews' } } };
const forged = (claims: object, change: (jwt: SignJWT) => SignJWT = (jwt) => jwt): Promise<string> =>
  change(
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer('mizzen')
      .setSubject('system:serviceaccount:shop:reviews')
      .setAudience('istio-ca')
      .setIssuedAt(now / 1000)
      .setNotBefore(now / 1000)
      .setExpirationTime(now / 1000 + 60),
  ).sign(key);

describe('local tokens', () => {
  it('prove a service account until they expire', async () => {
    const { token, subject, expiresAt } = await signToken(key, { ...account, ttlMs: 60_000, pod: 'reviews-1' }, now);
    expect(subject).toBe('system:serviceaccount:shop:reviews');
    expect(expiresAt).toEqual(new Date(now + 60_000));
    expect(await reviewer().review(token)).toEqual({ ...account, pod: 'reviews-1', expiresAt });
    expect(await reasonFor(token, reviewer(now + 59_000))).toBe('accepted');
    expect(await reasonFor(token, reviewer(now + 60_000))).toBe('expired');
    expect(await reasonFor(token, reviewer(now - 1_000))).toBe('not-yet-valid');
  });

  it('are for one audience', async () => {
    const { token } = await signToken(key, { ...account, audience: 'other' }, now);
    const refused = await reviewer().review(token);
    expect(refused).toEqual({ reason: 'audience', refused: 'token refused: its audience is not istio-ca' });
    expect(await reasonFor(token, reviewer(now, ['istio-ca', 'other']))).toBe('accepted');
  });

  it('of another key are refused', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const { token } = await signToken(other, account, now);
    expect(await reviewer().review(token)).toEqual({
      reason: 'signature',
      refused: 'token refused: its signature is not of our token key (issued with another state folder?)',
    });
  });

  it('with the public key as an HMAC secret, or without signature, are refused', async () => {
    const [, payload = ''] = (await signToken(key, account, now)).token.split('.');
    const head = (alg: string): string => Buffer.from(JSON.stringify({ alg })).toString('base64url');
    const secret = createPublicKey(key).export({ type: 'spki', format: 'pem' });
    const signed = `${head('HS256')}.${payload}`;
    const mac = createHmac('sha256', secret).update(signed).digest('base64url');
    expect(await reasonFor(`${signed}.${mac}`)).toBe('malformed');
    expect(await reasonFor(`${head('none')}.${payload}.`)).toBe('malformed');
    expect(await reasonFor('nonsense')).toBe('malformed');
  });

  it('need every claim, and claims that agree', async () => {
    expect(await reasonFor(await forged(goodClaims))).toBe('accepted');
    expect(await reasonFor(await forged({}))).toBe('claim');
    expect(await reasonFor(await forged({ 'kubernetes.io': { namespace: 'bank', serviceaccount: { name: 'reviews' } } }))).toBe('claim');
    expect(await reasonFor(await forged({ 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'admin' } } }))).toBe('claim');
    expect(await reasonFor(await forged(goodClaims, (jwt) => jwt.setIssuer('kubernetes/serviceaccount')))).toBe('issuer');
    expect(await reasonFor(await forged(goodClaims, (jwt) => jwt.setSubject('reviews')))).toBe('claim');
    const claims = { ...goodClaims, iss: 'mizzen', aud: 'istio-ca', sub: 'system:serviceaccount:shop:reviews' };
    const lasting = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(key);
    expect(await reasonFor(lasting)).toBe('claim');
  });

  it('are not issued for impossible names and lives', async () => {
    await expect(signToken(key, { ...account, serviceAccount: 'a:b' }, now)).rejects.toThrow(/service account "a:b"/);
    await expect(signToken(key, { ...account, ttlMs: 0 }, now)).rejects.toThrow(/between 1 s and 366 days/);
    await expect(signToken(key, { ...account, ttlMs: 367 * 24 * 3600_000 }, now)).rejects.toThrow(/between 1 s and 366 days/);
    await expect(signToken(key, { ...account, ttlMs: Number.NaN }, now)).rejects.toThrow(/between 1 s and 366 days/);
  });

  it('are accepted by whoever has the same state folder, and its key is guarded', async () => {
    const stateDir = testFolder();
    const { token } = await issueToken({ ...account, stateDir }, now);
    const again = new LocalTokenReviewer(loadTokenKey(stateDir), { now: () => now });
    expect(await reasonFor(token, again)).toBe('accepted');
    chmodSync(tokenKeyFile(stateDir), 0o644);
    expect(() => loadTokenKey(stateDir)).toThrow(/token-key.pem has mode 0644/);
  });
});
