/** What a proxy says of a response that it refuses, as it is kept, logged and shown. */

/** Envoy quotes whole messages; what comes after so much is no help. */
const maxLength = 64 * 1024;

/** In PEM, or PEM in base64: Envoy's text of a message that breaks a rule holds all its fields. */
const secrets = /-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|LS0tLS1CRUdJTi[A-Za-z0-9+/]+=*/gs;

export function refusalText(message: string): string {
  // A copy: a slice would keep all of it.
  const text = message.length > maxLength ? Buffer.from(message.slice(0, maxLength)).toString() : message;
  return text.replace(secrets, '[redacted]');
}
