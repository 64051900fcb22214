/** Creates TokenReviews. */
import { isRecord } from './list.ts';
import { ApiUnreachable, statusMessage, type Transport } from './transport.ts';

/** Status of the review as the API server gives it. Rejects with an ApiUnreachable where it gives none. */
export async function createTokenReview(
  transport: Transport,
  token: string,
  audiences: readonly string[],
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
  const answer = await transport.request({ method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', body }, signal);
  const status = isRecord(answer.body) ? answer.body['status'] : undefined;
  if (answer.status !== 201 || !isRecord(status)) throw new ApiUnreachable(`TokenReview: ${statusMessage(answer)}`);
  return status;
}
