import { describe, expect, it } from 'vitest';
import { KubernetesTokenReviewer, type TokenReviewOptions, type TokenReviewStatus } from './tokenreview.ts';

const now = 1_700_000_000_000;
const jwt = (payload: object, signature = 'c2ln'): string =>
  `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.${signature}`;
const token = jwt({ exp: now / 1000 + 3600, aud: ['istio-ca'] });
const accepted: TokenReviewStatus = {
  authenticated: true,
  audiences: ['istio-ca'],
  user: { username: 'system:serviceaccount:shop:reviews', extra: { 'authentication.kubernetes.io/pod-name': ['reviews-1'] } },
};

class Asked {
  readonly questions: string[] = [];
  status: TokenReviewStatus | Error = accepted;
  clock = now;

  reviewer(options: Partial<TokenReviewOptions> = {}): KubernetesTokenReviewer {
    return new KubernetesTokenReviewer({
      ask: async (asked) => {
        this.questions.push(asked);
        if (this.status instanceof Error) throw this.status;
        return this.status;
      },
      now: () => this.clock,
      ...options,
    });
  }
}

describe('KubernetesTokenReviewer', () => {
  it('gives account, pod and expiry of a token that the API server accepts', async () => {
    expect(await new Asked().reviewer().review(token)).toEqual({
      namespace: 'shop',
      serviceAccount: 'reviews',
      pod: 'reviews-1',
      expiresAt: new Date(now + 3600_000),
    });
  });

  it.each([
    ['not authenticated', { authenticated: false, error: 'pod is gone' }, 'signature'],
    ['another audience', { ...accepted, audiences: ['other'] }, 'audience'],
    ['no word of audiences', { authenticated: true, user: accepted.user }, 'audience'],
    ['a person', { ...accepted, user: { username: 'admin' } }, 'claim'],
    ['nothing', {}, 'signature'],
  ] as [string, TokenReviewStatus, string][])('refuses where the answer is: %s', async (_name, status, reason) => {
    const asked = new Asked();
    asked.status = status;
    expect(await asked.reviewer().review(token)).toMatchObject({ reason });
  });

  it.each([
    ['no JWT', 'abc', 'malformed'],
    ['no expiry', jwt({ aud: 'istio-ca' }), 'malformed'],
    ['expired', jwt({ exp: now / 1000 - 1, aud: 'istio-ca' }), 'expired'],
    ['another audience', jwt({ exp: now / 1000 + 60, aud: ['https://kubernetes.default.svc'] }), 'audience'],
  ])('does not ask about a token that is: %s', async (_name, bad, reason) => {
    const asked = new Asked();
    expect(await asked.reviewer().review(bad)).toMatchObject({ reason });
    expect(asked.questions).toEqual([]);
  });

  it('asks once while an answer is fresh, and once for many at a time', async () => {
    const asked = new Asked();
    const reviewer = asked.reviewer({ freshMs: 1000 });
    await Promise.all([reviewer.review(token), reviewer.review(token)]);
    await reviewer.review(token);
    expect(asked.questions).toHaveLength(1);
    asked.clock += 1000;
    asked.status = { authenticated: false };
    expect(await reviewer.review(token)).toMatchObject({ reason: 'signature' });
    expect(asked.questions).toHaveLength(2);
  });

  it('does not remember that the API server was away', async () => {
    const asked = new Asked();
    const reviewer = asked.reviewer();
    asked.status = new Error('connection refused');
    expect(await reviewer.review(token)).toMatchObject({ reason: 'unavailable' });
    asked.status = accepted;
    expect(await reviewer.review(token)).toMatchObject({ pod: 'reviews-1' });
  });

  it('keeps a bounded number of answers and asks a bounded number of questions at a time', async () => {
    const asked = new Asked();
    const reviewer = asked.reviewer({ maxAnswers: 3 });
    for (let n = 0; n < 10; n++) await reviewer.review(jwt({ exp: now / 1000 + 60, aud: 'istio-ca', n }));
    expect(reviewer.size).toBe(3);
    const { promise, resolve } = Promise.withResolvers<TokenReviewStatus>();
    let most = 0;
    let underWay = 0;
    let questions = 0;
    const ask = async (): Promise<TokenReviewStatus> => {
      questions++;
      most = Math.max(most, ++underWay);
      const status = await promise;
      underWay--;
      return status;
    };
    const slow = asked.reviewer({ ask, maxQuestions: 2, maxWaiting: 3 });
    const storm = Array.from({ length: 7 }, (_, n) => slow.review(jwt({ exp: now / 1000 + 60, aud: 'istio-ca', n })));
    // Two are asked, three wait.
    expect(await Promise.all(storm.slice(5))).toMatchObject([{ reason: 'unavailable' }, { reason: 'unavailable' }]);
    expect(questions).toBe(2);
    resolve(accepted);
    for (const served of await Promise.all(storm.slice(0, 5))) expect(served).toMatchObject({ pod: 'reviews-1' });
    expect([most, questions]).toEqual([2, 5]);
  });

  it('accepts none of ten thousand mutated tokens without the API server', async () => {
    const asked = new Asked();
    asked.status = { authenticated: false };
    const reviewer = asked.reviewer({ maxAnswers: 100 });
    let state = 7;
    const random = (below: number): number => (state = (state * 1103515245 + 12345) % 2147483648) % below;
    for (let n = 0; n < 10_000; n++) {
      const bytes = Buffer.from(token);
      for (let flips = 1 + random(4); flips > 0; flips--) bytes[random(bytes.length)] = random(256);
      expect(await reviewer.review(bytes.toString('latin1'))).toHaveProperty('refused');
    }
    expect(reviewer.size).toBeLessThanOrEqual(100);
  });
});
