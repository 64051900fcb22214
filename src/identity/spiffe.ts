import { CredentialFault } from './fault.ts';

/** Kubernetes' own form of an identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface SpiffeId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The SPIFFE specification's limit for a whole id. */
const maxLength = 2048;
const trustDomainForm = /^[a-z0-9._-]{1,255}$/;
/** A namespace is an RFC 1123 label, a service account's name a subdomain. */
const namespaceForm = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const serviceAccountForm = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const form = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/;

export function isTrustDomain(text: string): boolean {
  return trustDomainForm.test(text);
}

/** Undefined unless it is exactly of the form above: no port, query, escape, empty or additional segment, no upper case. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > maxLength) return undefined;
  const [, trustDomain = '', namespace = '', serviceAccount = ''] = form.exec(text) ?? [];
  const id = { trustDomain, namespace, serviceAccount };
  return faultIn(id) === undefined ? id : undefined;
}

/** Throws a CredentialFault `argument` for parts that cannot be in an id, so that no signed name is ever ambiguous. */
export function formatSpiffeId(id: SpiffeId): string {
  const fault = faultIn(id);
  if (fault !== undefined) throw new CredentialFault('argument', fault);
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}

function faultIn(id: SpiffeId): string | undefined {
  if (!isTrustDomain(id.trustDomain)) {
    return `trust domain ${JSON.stringify(id.trustDomain)} is not of lower-case letters, digits, ".", "_" and "-"`;
  }
  if (!namespaceForm.test(id.namespace)) return `namespace ${JSON.stringify(id.namespace)} is not a DNS label (RFC 1123)`;
  if (!serviceAccountForm.test(id.serviceAccount)) {
    return `service account ${JSON.stringify(id.serviceAccount)} is not a DNS subdomain (RFC 1123)`;
  }
  return undefined;
}
