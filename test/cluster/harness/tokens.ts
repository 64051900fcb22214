/** Service account tokens bound to a pod, asked for as the kubelet of the pod's node does. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { eventually } from '../../envoy/harness/wait.ts';
import { ApiFault, type KubeApi } from './api.ts';
import type { TestCluster } from './cluster.ts';
import type { RunningPod } from './objects.ts';

export interface TokenOptions {
  /** One that a volume of the pod asks for; a kubelet gets no other. */
  readonly audience?: string;
  /** At least 600, the least that the API server gives. */
  readonly expirationSeconds?: number;
}

interface TokenRequest {
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

/** The token that a kubelet writes into the pod's volume. */
export async function podToken(api: KubeApi, pod: RunningPod, options: TokenOptions = {}): Promise<string> {
  const { name, namespace, uid } = pod.metadata;
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      audiences: [options.audience ?? 'istio-ca'],
      expirationSeconds: options.expirationSeconds ?? 3600,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
    },
  };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.spec.serviceAccountName}/token`;
  const as = { user: `system:node:${pod.spec.nodeName}`, groups: ['system:nodes', 'system:authenticated'] };
  const answer = await eventually(`a token for pod ${namespace}/${name}`, () =>
    api.request<TokenRequest>({ method: 'POST', path, body, as }).catch((fault: unknown) => {
      if (!(fault instanceof ApiFault)) throw fault;
      // The node authorizer follows pods by a watch: for a moment it does not know that the pod is the node's.
      return fault.status === 403 && /no relationship found/.test(fault.message) ? undefined : fault;
    }),
  );
  if (answer instanceof ApiFault) throw answer;
  return answer.status.token;
}

/** The same token with other claims, signed with the key of the cluster unless it is another. */
export async function signedAnew(cluster: TestCluster, token: string, change: object, key = serviceAccountKey(cluster)): Promise<string> {
  const { kid = '' } = decodeProtectedHeader(token);
  return new SignJWT({ ...decodeJwt(token), ...change }).setProtectedHeader({ alg: 'RS256', kid }).sign(key);
}

/** Claims of a token that has expired an hour ago. */
export function expiredClaims(): { readonly iat: number; readonly nbf: number; readonly exp: number } {
  const exp = Math.floor(Date.now() / 1000) - 3600;
  return { iat: exp - 600, nbf: exp - 600, exp };
}

function serviceAccountKey({ folder }: TestCluster): KeyObject {
  return createPrivateKey(readFileSync(folder.at('pki', 'sa.key')));
}

export interface ReviewedToken {
  readonly authenticated: boolean;
  readonly audiences: readonly string[];
  readonly error?: string;
  readonly user?: { readonly username: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
}

/** What the API server says of a token for an audience. */
export async function reviewToken(api: KubeApi, token: string, audience = 'istio-ca'): Promise<ReviewedToken> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } };
  const path = '/apis/authentication.k8s.io/v1/tokenreviews';
  const { status } = await api.request<{ status: Partial<ReviewedToken> }>({ method: 'POST', path, body });
  return { ...status, authenticated: status.authenticated ?? false, audiences: status.audiences ?? [] };
}
