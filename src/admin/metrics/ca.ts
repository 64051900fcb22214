import type { Instruments } from './instruments.ts';

/** istiod's words for what went wrong while a certificate was signed. */
export type SignError = 'CA_NOT_READY' | 'CSR_ERROR' | 'TTL_ERROR' | 'CERT_GEN_ERROR';

/** What the certificate authority reports of its work, under istiod's names. */
export interface CaMetrics {
  /** A signing request arrived. */
  requested(): void;
  issued(): void;
  authenticationFailed(): void;
  requestUnreadable(): void;
  /** The request is for another identity than the caller's. */
  identityRefused(): void;
  signingFailed(error: SignError): void;
  /** A certificate or key could not be made, or read, for SDS. */
  secretFailed(): void;
  /** Called at start and after each rotation, with milliseconds since 1970. */
  expiry(rootNotAfterMs: number, chainNotAfterMs: number): void;
  /** Where a rotation of the root stands, and what of the Secrets cannot be used. */
  rotation(phase: string, unusableSecrets: number): void;
}

const rotationPhases = ['stable', 'staged', 'distributed', 'signing', 'retired'];

/** `wallMs`: milliseconds since 1970. */
export function caMetrics(make: Instruments, wallMs: () => number): CaMetrics {
  const prefix = 'citadel_server_';
  const requests = make.counter(`${prefix}csr_count`, 'Signing requests received');
  const issued = make.counter(`${prefix}success_cert_issuance_count`, 'Certificates issued, by request and for SDS');
  const unauthenticated = make.counter(
    `${prefix}authentication_failure_count`,
    'Signing requests of callers whose identity was not proven',
  );
  const unreadable = make.counter(`${prefix}csr_parsing_err_count`, 'Signing requests that could not be read');
  const foreign = make.counter(`${prefix}id_extraction_err_count`, "Signing requests for another identity than the caller's");
  const failed = make.counter(`${prefix}csr_sign_err_count`, 'Signing requests that could not be signed', ['error']);
  const secrets = make.counter('pilot_sds_certificate_errors_total', 'Certificates and keys for SDS that could not be made or read');
  const ends = { root: 'root certificate', chain: 'signing certificate' };
  const timestamps = (['root', 'chain'] as const).map((which) => {
    const name = `${prefix}${which === 'root' ? 'root_cert' : 'cert_chain'}_expiry`;
    const timestamp = make.gauge(`${name}_timestamp`, `End of the ${ends[which]}, in seconds since 1970`);
    let endMs: number | undefined;
    make.collect(`${name}_seconds`, `Seconds until the end of the ${ends[which]}; negative after it`, [], (gauge) => {
      if (endMs !== undefined) gauge.set((endMs - wallMs()) / 1000);
    });
    return (notAfterMs: number): void => {
      endMs = notAfterMs;
      timestamp.set(notAfterMs / 1000);
    };
  });
  const phases = make.gauge('mizzen_ca_rotation_state', '1 for the state that the rotation of the root is in, 0 for the others', ['state']);
  const unusable = make.gauge(
    'mizzen_ca_unusable_secrets',
    'Secrets with a certificate authority that cannot be used: the one before stays in force',
  );
  return {
    requested: () => requests.inc(),
    issued: () => issued.inc(),
    authenticationFailed: () => unauthenticated.inc(),
    requestUnreadable: () => unreadable.inc(),
    identityRefused: () => foreign.inc(),
    signingFailed: (error) => failed.inc({ error }),
    secretFailed: () => secrets.inc(),
    expiry: (rootNotAfterMs, chainNotAfterMs) => {
      timestamps[0]?.(rootNotAfterMs);
      timestamps[1]?.(chainNotAfterMs);
    },
    rotation: (phase, unusableSecrets) => {
      for (const state of rotationPhases) phases.set({ state }, state === phase ? 1 : 0);
      unusable.set(unusableSecrets);
    },
  };
}
