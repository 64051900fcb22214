/** Asks Kubernetes whose a token is. The API server knows whether its pod still lives; a signature alone does not. */
import { createHash } from 'node:crypto';
import { decodeJwt, type JWTPayload } from 'jose';
import { defaultAudience, isRefusal, refusal, type Refusal, type ReviewedToken, type TokenReviewer } from './proof.ts';

/** `status` of a TokenReview. */
export interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly audiences?: readonly string[];
  readonly error?: string;
  readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
}

export interface TokenReviewOptions {
  /** Creates a TokenReview and gives its status. Rejects where the API server does not answer. */
  readonly ask: (token: string, audiences: readonly string[]) => Promise<TokenReviewStatus>;
  /** Default `istio-ca`. */
  readonly audiences?: readonly string[];
  readonly now: () => number;
  /** An answer holds for so long: a token of a deleted pod is accepted no longer than this. Default 10 s. */
  readonly freshMs?: number;
  /** Answers that are kept. Default 10,000. */
  readonly maxAnswers?: number;
  /** Questions at a time. Each may need a connection of its own, a millisecond to begin. Default 20. */
  readonly maxQuestions?: number;
  /** Further ones that wait, as when all proxies come at once; more are refused as unavailable, and the proxy comes back. Default 2,000. */
  readonly maxWaiting?: number;
  /** What has waited longer is refused as unavailable: its proxy has given up by then. Default 10 s. */
  readonly maxWaitMs?: number;
}

interface Answer {
  readonly until: number;
  readonly result: ReviewedToken | Refusal;
}

export class KubernetesTokenReviewer implements TokenReviewer {
  readonly #options: TokenReviewOptions;
  readonly #audiences: readonly string[];
  /** By the token's hash: tokens themselves are not kept. The oldest first. */
  readonly #answers = new Map<string, Answer>();
  readonly #asking = new Map<string, Promise<ReviewedToken | Refusal>>();
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: TokenReviewOptions) {
    this.#options = options;
    this.#audiences = options.audiences ?? [defaultAudience];
  }

  /** Answers that are held at present. */
  get size(): number {
    return this.#answers.size;
  }

  async review(token: string): Promise<ReviewedToken | Refusal> {
    const now = this.#options.now();
    const claims = this.#claims(token, now);
    if (isRefusal(claims)) return claims;
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#answers.get(key);
    if (known !== undefined && known.until > now) return known.result;
    const asked = this.#asking.get(key);
    if (asked !== undefined) return asked;
    if (this.#waiting.length >= (this.#options.maxWaiting ?? 2000)) return refusal('unavailable', tooMany);
    const asking = this.#askInTurn(token, claims, key).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #askInTurn(token: string, claims: Claims, key: string): Promise<ReviewedToken | Refusal> {
    const { maxQuestions = 20, maxWaitMs = 10_000, now } = this.#options;
    const beganMs = now();
    if (this.#underWay < maxQuestions) this.#underWay++;
    // Whoever has its answer hands its place on.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return now() - beganMs > maxWaitMs ? refusal('unavailable', tooMany) : await this.#ask(token, claims, key);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
      else next();
    }
  }

  async #ask(token: string, claims: Claims, key: string): Promise<ReviewedToken | Refusal> {
    let status: TokenReviewStatus;
    try {
      status = await this.#options.ask(token, this.#audiences);
    } catch (error) {
      return refusal(
        'unavailable',
        `token refused: the API server cannot review it: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    const result = this.#result(status, claims);
    const now = this.#options.now();
    const { freshMs = 10_000, maxAnswers = 10_000 } = this.#options;
    this.#answers.delete(key);
    this.#answers.set(key, { result, until: Math.min(now + freshMs, claims.expiresAt.getTime()) });
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= maxAnswers) break;
      this.#answers.delete(oldest);
    }
    return result;
  }

  /** What no API server would accept is not sent to it. Nothing of it is believed before the answer. */
  #claims(token: string, now: number): Claims | Refusal {
    let payload: JWTPayload;
    try {
      payload = decodeJwt(token);
    } catch {
      return refusal('malformed', 'token refused: it is no JWT');
    }
    const { exp, aud } = payload;
    if (typeof exp !== 'number' || !Number.isSafeInteger(exp))
      return refusal('malformed', 'token refused: it has no expiry; only bound tokens are accepted');
    if (exp * 1000 <= now) return refusal('expired', 'token refused: it has expired');
    const audiences = Array.isArray(aud) ? aud : [aud];
    if (!audiences.some((audience) => typeof audience === 'string' && this.#audiences.includes(audience))) {
      return refusal('audience', `token refused: its audience is not ${this.#audiences.join(' or ')}`);
    }
    return { expiresAt: new Date(exp * 1000) };
  }

  #result({ authenticated, audiences = [], error, user }: TokenReviewStatus, { expiresAt }: Claims): ReviewedToken | Refusal {
    if (authenticated !== true)
      return refusal('signature', `token refused by the API server${error === undefined ? '' : `: ${error.slice(0, 300)}`}`);
    // A server that knows nothing of audiences returns none: then it has not checked them.
    if (!audiences.some((audience) => this.#audiences.includes(audience))) {
      return refusal('audience', `token refused: the API server did not confirm audience ${this.#audiences.join(' or ')}`);
    }
    const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user?.username ?? '') ?? [];
    if (namespace === undefined || serviceAccount === undefined) return refusal('claim', 'token refused: it is of no service account');
    const pod = user?.extra?.['authentication.kubernetes.io/pod-name']?.[0];
    return { namespace, serviceAccount, expiresAt, ...(pod !== undefined && pod !== '' && { pod }) };
  }
}

const tooMany = 'token refused: too many token reviews at a time';

interface Claims {
  readonly expiresAt: Date;
}
