import { CredentialFault } from './fault.ts';
import {
  isRefusal,
  refusal,
  type CallCredentials,
  type ProvenIdentity,
  type Refusal,
  type ReviewedToken,
  type TokenReviewer,
} from './proof.ts';
import { formatSpiffeId, isTrustDomain } from './spiffe.ts';
import type { CertificateVerifier } from './certificate.ts';

export interface AuthenticatorOptions {
  readonly trustDomain: string;
  /** Asked in this order; the first that accepts counts. */
  readonly reviewers: readonly TokenReviewer[];
  readonly certificates?: Pick<CertificateVerifier, 'verify'>;
}

/** Larger tokens are refused unread; Kubernetes' own are about 1 KiB. */
const maxTokenBytes = 8 * 1024;

/** Proves identities: the client certificate first, then the token, as istiod orders them. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    if (!isTrustDomain(options.trustDomain)) {
      throw new CredentialFault('argument', `trust domain ${JSON.stringify(options.trustDomain)} is not one`);
    }
    this.#options = options;
  }

  async authenticate(call: CallCredentials): Promise<ProvenIdentity | Refusal> {
    if (!call.secure) return refusal('plaintext', `${call.peer}: a plaintext connection proves no identity`);
    const refusals: Refusal[] = [];
    const { certificates } = this.#options;
    if (certificates !== undefined && call.clientCertificates !== undefined && call.clientCertificates.length > 0) {
      const proven = certificates.verify(call.clientCertificates);
      if (!isRefusal(proven)) return proven;
      refusals.push(proven);
    }
    if (call.bearerToken !== undefined) {
      const proven = await this.#byToken(call.bearerToken, call.cluster);
      if (!isRefusal(proven)) return proven;
      refusals.push(proven);
    }
    const last = refusals.at(-1);
    if (last === undefined) return refusal('no-credentials', `${call.peer}: neither a client certificate nor a bearer token was given`);
    return refusal(last.reason, `${call.peer}: ${refusals.map((r) => r.refused).join('; ')}`);
  }

  async #byToken(token: string, cluster: string | undefined): Promise<ProvenIdentity | Refusal> {
    if (token.length > maxTokenBytes) return refusal('malformed', `token of ${token.length} bytes, at most ${maxTokenBytes} are read`);
    const refusals: Refusal[] = [];
    for (const reviewer of this.#options.reviewers) {
      const reviewed = await reviewer.review(token, cluster);
      if (!isRefusal(reviewed)) return this.#proven(reviewed);
      refusals.push(reviewed);
    }
    const last = refusals.at(-1);
    if (last === undefined) return refusal('no-credentials', 'tokens are not accepted here');
    return refusal(last.reason, refusals.map((r) => r.refused).join('; '));
  }

  #proven(reviewed: ReviewedToken): ProvenIdentity | Refusal {
    const id = { trustDomain: this.#options.trustDomain, namespace: reviewed.namespace, serviceAccount: reviewed.serviceAccount };
    try {
      return {
        ...id,
        spiffeId: formatSpiffeId(id),
        via: 'token',
        expiresAt: reviewed.expiresAt,
        ...(reviewed.pod && { pod: reviewed.pod }),
        ...(reviewed.cluster !== undefined && { cluster: reviewed.cluster }),
      };
    } catch (error) {
      if (error instanceof CredentialFault) return refusal('claim', `the token's ${error.message}`);
      throw error;
    }
  }
}

/** The token of an `authorization` header: schemes `Bearer` and, as older agents send it, `Istio`. */
export function bearerToken(header: string): string | undefined {
  return /^(?:bearer|istio) +([^\s,]+)$/i.exec(header)?.[1];
}
