/**
 * Service account tokens, checked by the Kubernetes API server (TokenReview). What cannot be a token for us is refused without asking it; answers
 * are kept for seconds, so that a proxy that opens several streams costs one question; and only so many questions are open at a time.
 */
import { createHash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { textOf } from './fault.ts';
import { defaultAudience, isRefusal, refusal, type Refusal, type RefusalReason, type ReviewedToken, type TokenReviewer } from './proof.ts';

export const tokenReviewPath = '/apis/authentication.k8s.io/v1/tokenreviews';

/** The API server, as far as it is needed here. Rejects when there is no answer in time. */
export interface ReviewTransport {
  request(
    request: { readonly method: 'POST'; readonly path: string; readonly body: unknown },
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
}

export interface KubernetesTokenOptions {
  readonly transport: ReviewTransport;
  /** Tokens for any of these are accepted; default `istio-ca`. */
  readonly audiences?: readonly string[];
  readonly now: () => number;
  readonly limits?: Partial<KubernetesTokenLimits>;
}

export interface KubernetesTokenLimits {
  /** How long an accepted token counts without a new question: so long may a deleted pod still prove itself. */
  readonly acceptedMs: number;
  /** The same for a refused one. */
  readonly refusedMs: number;
  /** To one answer. */
  readonly timeoutMs: number;
  /** Questions to the API server at a time. */
  readonly open: number;
  /** Callers that wait for their turn; more are refused. */
  readonly waiting: number;
  /** Answers that are kept. */
  readonly kept: number;
}

export const defaultTokenLimits: KubernetesTokenLimits = {
  acceptedMs: 5_000,
  refusedMs: 1_000,
  timeoutMs: 10_000,
  open: 32,
  waiting: 10_000,
  kept: 20_000,
};

type Answer = ReviewedToken | Refusal;

interface Kept {
  readonly answer: Answer;
  readonly until: number;
}

export class KubernetesTokenReviewer implements TokenReviewer {
  readonly #options: KubernetesTokenOptions;
  readonly #limits: KubernetesTokenLimits;
  readonly #audiences: readonly string[];
  /** By the token's hash, oldest first: what is kept for seconds holds no credentials. */
  readonly #kept = new Map<string, Kept>();
  readonly #asking = new Map<string, Promise<Answer>>();
  readonly #queue: (() => void)[] = [];
  #open = 0;

  constructor(options: KubernetesTokenOptions) {
    this.#options = options;
    this.#limits = { ...defaultTokenLimits, ...options.limits };
    this.#audiences = options.audiences ?? [defaultAudience];
  }

  async review(token: string): Promise<Answer> {
    const claims = readClaims(token, this.#audiences, this.#options.now());
    if (isRefusal(claims)) return claims;
    const key = createHash('sha256').update(token).digest('base64');
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.until > this.#options.now()) return kept.answer;
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      if (this.#queue.length >= this.#limits.waiting)
        return refusal('unavailable', 'too many tokens wait for their review; try again later');
      asking = this.#inTurn(() => this.#ask(token, claims.expiresAt)).then((answer) => this.#keep(key, answer));
      this.#asking.set(key, asking);
      void asking.then(() => this.#asking.delete(key));
    }
    return asking;
  }

  /** Never rejects, because `act` does not. */
  async #inTurn(act: () => Promise<Answer>): Promise<Answer> {
    if (this.#open >= this.#limits.open) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#open++;
    const answer = await act();
    const next = this.#queue.shift();
    // The turn is handed on, or given back.
    if (next === undefined) this.#open--;
    else next();
    return answer;
  }

  #keep(key: string, answer: Answer): Answer {
    const isRefused = isRefusal(answer);
    // No answer is no judgement on the token.
    if (isRefused && answer.reason === 'unavailable') return answer;
    const now = this.#options.now();
    const until = isRefused ? now + this.#limits.refusedMs : Math.min(now + this.#limits.acceptedMs, answer.expiresAt.getTime());
    this.#kept.delete(key);
    this.#kept.set(key, { answer, until });
    for (const [oldest, entry] of this.#kept) {
      if (this.#kept.size <= this.#limits.kept && entry.until > now) break;
      this.#kept.delete(oldest);
    }
    return answer;
  }

  async #ask(token: string, expiresAt: Date): Promise<Answer> {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: this.#audiences } };
    try {
      const answer = await this.#options.transport.request(
        { method: 'POST', path: tokenReviewPath, body },
        AbortSignal.timeout(this.#limits.timeoutMs),
      );
      if (answer.status !== 200 && answer.status !== 201) {
        return refusal('unavailable', `the API server did not review the token: HTTP status ${answer.status}${hintOf(answer.status)}`);
      }
      return readReview(record(record(answer.body)['status']), this.#audiences, expiresAt);
    } catch (error) {
      return refusal('unavailable', `the API server did not review the token: ${textOf(error)}`);
    }
  }
}

function hintOf(status: number): string {
  return status === 401 || status === 403 ? '; is our service account bound to ClusterRole system:auth-delegator?' : '';
}

/** What the token says of itself; a lie is found out by the API server, but a token that says it is not for us needs no question. */
function readClaims(token: string, audiences: readonly string[], now: number): { readonly expiresAt: Date } | Refusal {
  let claims: ReturnType<typeof decodeJwt>;
  try {
    claims = decodeJwt(token);
  } catch (error) {
    return refusal('malformed', `token refused: ${textOf(error)}`);
  }
  const { exp, aud } = claims;
  if (!(Array.isArray(aud) ? aud : [aud]).some((audience) => typeof audience === 'string' && audiences.includes(audience))) {
    return refusal('audience', `token refused: its audience is not ${audiences.join(' or ')}`);
  }
  if (typeof exp !== 'number') return refusal('claim', 'token refused: it never expires');
  if (exp * 1000 <= now) return refusal('expired', 'token refused: it has expired');
  return { expiresAt: new Date(exp * 1000) };
}

/** The status of a TokenReview. */
function readReview(status: Readonly<Record<string, unknown>>, audiences: readonly string[], expiresAt: Date): Answer {
  if (status['authenticated'] !== true) {
    const { error } = status;
    const why = typeof error === 'string' ? error.slice(0, 500) : 'the API server does not know it';
    return refusal(reasonOf(why), `token refused: ${why}`);
  }
  // An authenticator that knows no audiences says nothing of them: then the token is for the API server itself (TokenReview, status.audiences).
  const confirmed = status['audiences'];
  if (!Array.isArray(confirmed) || !confirmed.some((audience) => audiences.includes(String(audience)))) {
    return refusal('audience', `token refused: the API server does not confirm that it is for ${audiences.join(' or ')}`);
  }
  const { username, groups, extra } = record(status['user']);
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(typeof username === 'string' ? username : '') ?? [];
  if (namespace === undefined || serviceAccount === undefined || !Array.isArray(groups) || !groups.includes('system:serviceaccounts')) {
    return refusal('claim', 'token refused: it is not that of a service account');
  }
  const pods = record(extra)['authentication.kubernetes.io/pod-name'];
  const pod: unknown = Array.isArray(pods) ? pods[0] : undefined;
  return { namespace, serviceAccount, expiresAt, ...(typeof pod === 'string' && { pod }) };
}

function reasonOf(why: string): RefusalReason {
  if (/\bexpired\b/.test(why)) return 'expired';
  if (/token audiences /.test(why)) return 'audience';
  return 'untrusted';
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
