import { describe, expect, it } from 'vitest';
import { Authenticator, bearerToken } from './authenticator.ts';
import { refusal, type Refusal, type ReviewedToken, type TokenReviewer } from './proof.ts';

const expiresAt = new Date('2026-01-01T00:00:00Z');
class Reviewer implements TokenReviewer {
  readonly seen: string[] = [];
  readonly #answer: ReviewedToken | Refusal;

  constructor(answer: ReviewedToken | Refusal) {
    this.#answer = answer;
  }

  review(token: string): Promise<ReviewedToken | Refusal> {
    this.seen.push(token);
    return Promise.resolve(this.#answer);
  }
}
const accepts = new Reviewer({ namespace: 'shop', serviceAccount: 'reviews', expiresAt, pod: 'reviews-1' });
const peer = '10.0.0.1:4000';

describe('authentication', () => {
  it('gives a token of the local mesh its trust domain', async () => {
    const authenticator = new Authenticator({
      trustDomain: 'cluster.local',
      reviewers: [new Reviewer(refusal('issuer', 'not mine')), accepts],
    });
    expect(await authenticator.authenticate({ peer, secure: true, bearerToken: 'x' })).toEqual({
      spiffeId: 'spiffe://cluster.local/ns/shop/sa/reviews',
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'reviews',
      via: 'token',
      expiresAt,
      pod: 'reviews-1',
    });
  });

  it('proves nothing over plaintext, and does not even look at the token', async () => {
    const reviewer = new Reviewer(refusal('issuer', 'x'));
    const authenticator = new Authenticator({ trustDomain: 'cluster.local', reviewers: [reviewer] });
    expect(await authenticator.authenticate({ peer, secure: false, bearerToken: 'x' })).toMatchObject({ reason: 'plaintext' });
    expect(reviewer.seen).toEqual([]);
  });

  it('refuses with the peer and every reason', async () => {
    const authenticator = new Authenticator({
      trustDomain: 'cluster.local',
      reviewers: [new Reviewer(refusal('issuer', 'not mine')), new Reviewer(refusal('expired', 'too old'))],
    });
    expect(await authenticator.authenticate({ peer, secure: true, bearerToken: 'x' })).toEqual({
      reason: 'expired',
      refused: `${peer}: not mine; too old`,
    });
    expect(await authenticator.authenticate({ peer, secure: true })).toMatchObject({ reason: 'no-credentials' });
  });

  it('does not read a giant token', async () => {
    const reviewer = new Reviewer(refusal('issuer', 'x'));
    const authenticator = new Authenticator({ trustDomain: 'cluster.local', reviewers: [reviewer] });
    const refused = await authenticator.authenticate({ peer, secure: true, bearerToken: 'x'.repeat(8193) });
    expect(refused).toMatchObject({ reason: 'malformed', refused: expect.stringContaining('token of 8193 bytes') });
    expect(reviewer.seen).toEqual([]);
  });

  it('refuses a reviewed name that no identity can have', async () => {
    const authenticator = new Authenticator({
      trustDomain: 'cluster.local',
      reviewers: [new Reviewer({ namespace: 'a/sa/b', serviceAccount: 'x', expiresAt })],
    });
    expect(await authenticator.authenticate({ peer, secure: true, bearerToken: 'x' })).toMatchObject({ reason: 'claim' });
  });

  it('falls back to the token when the certificate is not ours', async () => {
    const certificates = { verify: () => refusal('untrusted', 'unknown root') };
    const authenticator = new Authenticator({ trustDomain: 'cluster.local', reviewers: [accepts], certificates });
    const call = { peer, secure: true, clientCertificates: [new Uint8Array(1)] };
    expect(await authenticator.authenticate({ ...call, bearerToken: 'x' })).toMatchObject({ via: 'token' });
    expect(await authenticator.authenticate(call)).toMatchObject({ reason: 'untrusted', refused: `${peer}: unknown root` });
  });
});

describe('the authorization header', () => {
  it.each([
    ['Bearer abc.def', 'abc.def'],
    ['bearer abc', 'abc'],
    ['Istio abc', 'abc'],
    ['Basic abc', undefined],
    ['Bearer', undefined],
    ['Bearer a b', undefined],
    ['', undefined],
  ])('%j holds %j', (header, token) => {
    expect(bearerToken(header)).toBe(token);
  });
});
