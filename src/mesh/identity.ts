/** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. Source: Istio, SPIFFE ID 2.1. */
export function formatSpiffe(trustDomain: string, namespace: string, serviceAccount: string): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}
