/** What a fault of credentials is about; for exit codes, gRPC statuses and tests. Never reused for something else. */
export type CredentialFaultCode =
  /** A file of the state folder or of plugged-in certificates is missing, unsafe or broken. */
  | 'file'
  /** A key is unreadable or too weak. */
  | 'key'
  /** A certificate is unreadable, expired or does not fit its key. */
  | 'certificate'
  /** A certificate signing request is malformed or not signed by its own key. */
  | 'csr'
  /** The life asked for is not possible. */
  | 'ttl'
  /** The authority cannot sign. */
  | 'signing'
  /** A name or an option is not what it must be. */
  | 'argument';

/** The one error class of `identity/` and `ca/`. Messages name the file or object and never hold key material. */
export class CredentialFault extends Error {
  readonly code: CredentialFaultCode;

  constructor(code: CredentialFaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CredentialFault';
    this.code = code;
  }
}

/** OpenSSL's texts are safe to show: they name routines and reasons, not contents. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
