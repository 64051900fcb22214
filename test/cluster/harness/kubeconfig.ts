/** Kubeconfig files: in JSON, which is YAML too. */
export interface KubeconfigOptions {
  readonly server: string;
  readonly ca: string;
  /** A client certificate in PEM, or a bearer token. */
  readonly user: { readonly certificate: string; readonly key: string } | { readonly token: string };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

export function kubeconfig({ server, ca, user }: KubeconfigOptions): string {
  const name = 'mizzen-test';
  const credentials =
    'token' in user ? { token: user.token } : { 'client-certificate-data': base64(user.certificate), 'client-key-data': base64(user.key) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name, user: credentials }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
