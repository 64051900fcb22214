import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { SignJWT, calculateJwkThumbprint, errors, jwtVerify, type JWTPayload } from 'jose';
import { defaultAudience, refusal, type RefusalReason, type Refusal, type ReviewedToken, type TokenReviewer } from './proof.ts';
import { CredentialFault, textOf } from './fault.ts';
import { loadOrCreateStateFile } from './privatefile.ts';
import { formatSpiffeId } from './spiffe.ts';

/** As Kubernetes projects it for Istio's proxies. */
export const defaultTokenTtlMs = 12 * 3600_000;
const minTtlMs = 1_000;
const maxTtlMs = 366 * 24 * 3600_000;
const issuer = 'mizzen';
const algorithm = 'ES256';

/** The key that signs local tokens, PKCS#8 with mode 0600 in the state folder. */
export function tokenKeyFile(stateDir: string): string {
  return join(stateDir, 'token-key.pem');
}

/** Loads the key, or makes it on first use. Throws a CredentialFault that names the file. */
export function loadTokenKey(stateDir: string): KeyObject {
  const path = tokenKeyFile(stateDir);
  const pem = loadOrCreateStateFile(path, 'secret', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  });
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new CredentialFault('key', `${path} is not a PEM private key: ${textOf(error)}`, { cause: error });
  }
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new CredentialFault('key', `${path} is not an EC key on P-256`);
  return key;
}

export interface TokenRequest {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Default 12 h; 1 s to 366 days. */
  readonly ttlMs?: number;
  /** Default `istio-ca`. */
  readonly audience?: string;
  /** The pod that the token is bound to. */
  readonly pod?: string;
}

export interface IssuedToken {
  readonly token: string;
  readonly subject: string;
  readonly audience: string;
  readonly expiresAt: Date;
}

/** A service account token in Kubernetes' form, signed with the local key. */
export async function signToken(key: KeyObject, request: TokenRequest, now: number): Promise<IssuedToken> {
  const { namespace, serviceAccount, ttlMs = defaultTokenTtlMs, audience = defaultAudience, pod } = request;
  formatSpiffeId({ trustDomain: 'any', namespace, serviceAccount }); // throws for names that no identity can have
  if (!(ttlMs >= minTtlMs && ttlMs <= maxTtlMs))
    throw new CredentialFault('ttl', `token life of ${ttlMs / 1000} s is not between 1 s and 366 days`);
  if (audience === '') throw new CredentialFault('argument', 'the audience of a token is empty');
  const subject = `system:serviceaccount:${namespace}:${serviceAccount}`;
  const issuedAt = Math.floor(now / 1000);
  const expiresAt = issuedAt + Math.floor(ttlMs / 1000);
  const token = await new SignJWT({
    'kubernetes.io': { namespace, serviceaccount: { name: serviceAccount }, ...(pod !== undefined && { pod: { name: pod } }) },
  })
    .setProtectedHeader({ alg: algorithm, kid: await keyId(key), typ: 'JWT' })
    .setIssuer(issuer)
    .setSubject(subject)
    .setAudience(audience)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(expiresAt)
    .setJti(randomUUID())
    .sign(key);
  return { token, subject, audience, expiresAt: new Date(expiresAt * 1000) };
}

/** `signToken` with the key of a state folder, which is made on first use. */
export async function issueToken(request: TokenRequest & { readonly stateDir: string }, now = Date.now()): Promise<IssuedToken> {
  return signToken(loadTokenKey(request.stateDir), request, now);
}

export interface LocalTokenOptions {
  /** Tokens for any of these are accepted; default `istio-ca`. */
  readonly audiences?: readonly string[];
  readonly now: () => number;
}

/** Accepts tokens of the local key. */
export class LocalTokenReviewer implements TokenReviewer {
  readonly #key: KeyObject;
  readonly #audiences: readonly string[];
  readonly #now: () => number;

  constructor(key: KeyObject, options: LocalTokenOptions) {
    this.#key = createPublicKey(key);
    this.#audiences = options.audiences ?? [defaultAudience];
    this.#now = options.now;
  }

  async review(token: string): Promise<ReviewedToken | Refusal> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [algorithm],
        issuer,
        audience: [...this.#audiences],
        requiredClaims: ['sub', 'exp', 'nbf', 'iat'],
        currentDate: new Date(this.#now()),
      });
      return reviewed(payload);
    } catch (error) {
      return refusal(reasonOf(error), `token refused: ${explain(error, this.#audiences)}`);
    }
  }
}

/** The subject and the claims under `kubernetes.io` name the same account. */
function reviewed(payload: JWTPayload): ReviewedToken | Refusal {
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(payload.sub ?? '') ?? [];
  const claims = record(payload['kubernetes.io']);
  if (
    namespace === undefined ||
    serviceAccount === undefined ||
    claims['namespace'] !== namespace ||
    record(claims['serviceaccount'])['name'] !== serviceAccount
  ) {
    return refusal('claim', 'token refused: its subject and its kubernetes.io claims do not name one service account');
  }
  const pod = record(claims['pod'])['name'];
  return { namespace, serviceAccount, expiresAt: new Date((payload.exp ?? 0) * 1000), ...(typeof pod === 'string' && { pod }) };
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function reasonOf(error: unknown): RefusalReason {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature';
  if (error instanceof errors.JWTClaimValidationFailed) {
    const byClaim: Readonly<Record<string, RefusalReason>> = { aud: 'audience', iss: 'issuer', nbf: 'not-yet-valid' };
    return byClaim[error.claim] ?? 'claim';
  }
  return 'malformed';
}

function explain(error: unknown, audiences: readonly string[]): string {
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return 'its signature is not of our token key (issued with another state folder?)';
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud') return `its audience is not ${audiences.join(' or ')}`;
  return textOf(error);
}

async function keyId(key: KeyObject): Promise<string> {
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  return calculateJwkThumbprint(jwk as Parameters<typeof calculateJwkThumbprint>[0]);
}
