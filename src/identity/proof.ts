import type { SpiffeId } from './spiffe.ts';

/** The audience of tokens for a control plane: istiod and every proxy use it. */
export const defaultAudience = 'istio-ca';

/** What a caller has shown. Nothing of it is believed before an Authenticator has checked it. */
export interface CallCredentials {
  /** Address of the peer, for the log. */
  readonly peer: string;
  /** False on the plaintext port, which proves no identity: a token seen there may be anybody's by now. */
  readonly secure: boolean;
  /** The token without its scheme. */
  readonly bearerToken?: string;
  /** DER, leaf first, as the transport got it. */
  readonly clientCertificates?: readonly Uint8Array[];
  /** Id of the cluster that the caller says it is in: whom to ask about its token, and no more. */
  readonly cluster?: string;
}

/** Who is calling, as proven. */
export interface ProvenIdentity extends SpiffeId {
  readonly spiffeId: string;
  readonly via: 'token' | 'certificate';
  /** End of the token or certificate. */
  readonly expiresAt: Date;
  /** The pod that the token is bound to, if it names one. */
  readonly pod?: string;
  /** Id of the cluster whose API server has proven it; absent where none was asked. */
  readonly cluster?: string;
}

export type RefusalReason =
  | 'plaintext'
  | 'no-credentials'
  | 'malformed'
  | 'expired'
  | 'not-yet-valid'
  | 'audience'
  | 'issuer'
  | 'signature'
  | 'untrusted'
  | 'trust-domain'
  | 'usage'
  | 'claim'
  | 'unavailable';

/** Has the form that the streams expect of a refusal; the text is for the log and tells the caller nothing secret. */
export interface Refusal {
  readonly refused: string;
  readonly reason: RefusalReason;
}

export function refusal(reason: RefusalReason, refused: string): Refusal {
  return { reason, refused };
}

export function isRefusal(result: object): result is Refusal {
  return 'refused' in result;
}

/** A service account as a token proves it; the trust domain is the mesh's own. */
export interface ReviewedToken {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly expiresAt: Date;
  readonly pod?: string;
  /** Id of the cluster whose API server was asked; absent where none was. */
  readonly cluster?: string;
}

/** Checks tokens: the local key's, or Kubernetes' TokenReview. Must answer with a refusal rather than throw. */
export interface TokenReviewer {
  /** `cluster`: the one that the caller says it is in. */
  review(token: string, cluster?: string): Promise<ReviewedToken | Refusal>;
}
