import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { type KubernetesTokenLimits, KubernetesTokenReviewer, tokenReviewPath } from './kubernetestoken.ts';
import { isRefusal } from './proof.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const expiresAt = new Date(start + 600_000);

/** A token in the form of the API server's; its signature is the API server's business. */
function token(claims: object = {}, id = 'a'): Promise<string> {
  return new SignJWT({ aud: ['istio-ca'], exp: expiresAt.getTime() / 1000, jti: id, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(Buffer.from('any key of at least 32 bytes is fine'));
}

const accepted = {
  authenticated: true,
  audiences: ['istio-ca'],
  user: {
    username: 'system:serviceaccount:shop:reviews',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:shop'],
    extra: { 'authentication.kubernetes.io/pod-name': ['reviews-1'] },
  },
};

interface ReviewRequest {
  readonly path: string;
  readonly body: unknown;
}

class ApiServer {
  readonly asked: ReviewRequest[] = [];
  /** Answers wait for it while it is set. */
  gate: Promise<void> | undefined;
  status: object = accepted;
  httpStatus = 201;
  open = 0;
  mostOpen = 0;

  async request(request: ReviewRequest): Promise<{ status: number; body: unknown }> {
    this.asked.push(request);
    this.mostOpen = Math.max(this.mostOpen, ++this.open);
    await this.gate;
    this.open--;
    if (this.httpStatus === 0) throw new Error('connection refused');
    return { status: this.httpStatus, body: { kind: 'TokenReview', status: this.status } };
  }
}

function setUp(limits: Partial<KubernetesTokenLimits> = {}): {
  server: ApiServer;
  reviewer: KubernetesTokenReviewer;
  time: { now: number };
} {
  const server = new ApiServer();
  const time = { now: start };
  return { server, time, reviewer: new KubernetesTokenReviewer({ transport: server, now: () => time.now, limits }) };
}

describe('tokens that the API server reviews', () => {
  it('prove the service account and the pod that the API server names', async () => {
    const { server, reviewer } = setUp();
    const given = await token();
    expect(await reviewer.review(given)).toEqual({ namespace: 'shop', serviceAccount: 'reviews', pod: 'reviews-1', expiresAt });
    expect(server.asked).toEqual([
      {
        method: 'POST',
        path: tokenReviewPath,
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: given, audiences: ['istio-ca'] } },
      },
    ]);
  });

  it.each([
    ['for another audience', { aud: ['vault'] }, 'audience'],
    ['without an audience', { aud: undefined }, 'audience'],
    ['that has expired', { exp: start / 1000 }, 'expired'],
    ['that never expires', { exp: undefined }, 'claim'],
  ])('are refused unasked %s', async (_, claims, reason) => {
    const { server, reviewer } = setUp();
    expect(await reviewer.review(await token(claims))).toMatchObject({ reason });
    expect(server.asked).toEqual([]);
  });

  it.each(['', 'x', 'a.b.c', '..', 'e30.e30.', 'e30.bnVsbA.x'])('are refused unasked when they are none: %j', async (text) => {
    const { server, reviewer } = setUp();
    expect(isRefusal(await reviewer.review(text))).toBe(true);
    expect(server.asked).toEqual([]);
  });

  it.each([
    ['does not know them', { authenticated: false }, 'untrusted'],
    ['does not say so', {}, 'untrusted'],
    ['finds their pod gone', { error: '[invalid bearer token, service account token has been invalidated]' }, 'untrusted'],
    ['finds them expired', { error: '[invalid bearer token, token has expired]' }, 'expired'],
    ['confirms no audience', { ...accepted, audiences: undefined }, 'audience'],
    ['confirms another audience', { ...accepted, audiences: ['vault'] }, 'audience'],
    ['names a user', { ...accepted, user: { username: 'admin', groups: ['system:serviceaccounts'] } }, 'claim'],
    ['names a user who only looks like one', { ...accepted, user: { ...accepted.user, groups: ['system:masters'] } }, 'claim'],
  ])('are refused when the API server %s', async (_, status, reason) => {
    const { server, reviewer } = setUp();
    server.status = status;
    expect(await reviewer.review(await token())).toMatchObject({ reason });
  });

  it('are asked for again after seconds: an accepted one may have lost its pod, a refused one may be known by now', async () => {
    const { server, reviewer, time } = setUp({ acceptedMs: 5_000, refusedMs: 1_000 });
    const given = await token();
    await reviewer.review(given);
    time.now += 4_999;
    await reviewer.review(given);
    expect(server.asked).toHaveLength(1);
    time.now += 1;
    server.status = { authenticated: false };
    expect(await reviewer.review(given)).toMatchObject({ reason: 'untrusted' });
    time.now += 999;
    await reviewer.review(given);
    expect(server.asked).toHaveLength(2);
    time.now += 1;
    server.status = accepted;
    expect(await reviewer.review(given)).toMatchObject({ serviceAccount: 'reviews' });
  });

  it('never outlive themselves', async () => {
    const { reviewer, time } = setUp({ acceptedMs: 3_600_000 });
    const given = await token();
    await reviewer.review(given);
    time.now = expiresAt.getTime();
    expect(await reviewer.review(given)).toMatchObject({ reason: 'expired' });
  });

  it('are neither accepted nor condemned while the API server does not answer', async () => {
    const { server, reviewer } = setUp();
    const given = await token();
    server.httpStatus = 0;
    expect(await reviewer.review(given)).toEqual({
      reason: 'unavailable',
      refused: 'the API server did not review the token: connection refused',
    });
    server.httpStatus = 403;
    expect(await reviewer.review(given)).toMatchObject({ refused: expect.stringContaining('system:auth-delegator') as string });
    server.httpStatus = 201;
    expect(await reviewer.review(given)).toMatchObject({ serviceAccount: 'reviews' });
  });

  it('are asked for once by all who show them at a time, and not more than so many at once', async () => {
    const { server, reviewer } = setUp({ open: 2, waiting: 3 });
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    const different = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => token({}, id)));
    const reviews = [...different, ...different.slice(0, 5)].map((given) => reviewer.review(given));
    gate.resolve();
    const answers = await Promise.all(reviews);
    expect(server.asked).toHaveLength(5);
    expect(server.mostOpen).toBe(2);
    expect(answers.map((answer) => isRefusal(answer) && answer.reason)).toEqual([
      ...[false, false, false, false, false, 'unavailable'],
      ...[false, false, false, false, false],
    ]);
  });

  it('are kept up to a number of answers', async () => {
    const { server, reviewer } = setUp({ kept: 2 });
    const [a = '', b = '', c = ''] = await Promise.all(['a', 'b', 'c'].map((id) => token({}, id)));
    for (const given of [a, b, c, c, b, a]) await reviewer.review(given);
    expect(server.asked).toHaveLength(4);
  });
});
