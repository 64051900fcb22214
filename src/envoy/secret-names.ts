/** Names of SDS resources for credentials that users name, in Istio's form. */

const kinds = ['kubernetes://', 'kubernetes-gateway://', 'configmap://'];

/** `name` or `namespace/name` becomes `kubernetes://...`; a name that says its kind stays; `builtin://` is the proxy's own identity. */
export function secretName(credentialName: string): string {
  if (credentialName.startsWith('builtin://')) return credentialName.endsWith('-cacert') ? 'ROOTCA' : 'default';
  if (credentialName.startsWith('invalid://')) return 'invalid://';
  return kinds.some((kind) => credentialName.startsWith(kind)) ? credentialName : `kubernetes://${credentialName}`;
}

/** The roots that belong to a credential: its own `ca.crt`, or Secret `<name>-cacert`. */
export function caSecretName(credentialName: string): string {
  return secretName(`${credentialName}-cacert`);
}
