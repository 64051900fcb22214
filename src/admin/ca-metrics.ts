import { Counter, Gauge, type Registry } from 'prom-client';

/** What the certificate authority reports of its work, under istiod's names. */
export interface CaMetrics {
  /** A signing request arrived. */
  requested(): void;
  issued(): void;
  authenticationFailed(): void;
  requestUnreadable(): void;
  signingFailed(): void;
  /** Called at start and after each rotation, with milliseconds since 1970. */
  expiry(rootNotAfterMs: number, chainNotAfterMs: number): void;
}

export function caMetrics(registry: Registry): CaMetrics {
  const registers = [registry];
  const counter = (name: string, help: string): Counter => new Counter({ name: `citadel_server_${name}`, help, registers });
  const gauge = (name: string, help: string): Gauge => new Gauge({ name: `citadel_server_${name}`, help, registers });
  const requests = counter('csr_count', 'Signing requests received');
  const issued = counter('success_cert_issuance_count', 'Certificates issued');
  const unauthenticated = counter('authentication_failure_count', 'Signing requests of callers whose identity was not proven');
  const unreadable = counter('csr_parsing_err_count', 'Signing requests that could not be read');
  const failed = counter('csr_sign_err_count', 'Signing requests that could not be signed');
  const root = gauge('root_cert_expiry_timestamp', 'End of the root certificate, in seconds since 1970');
  const chain = gauge('cert_chain_expiry_timestamp', 'End of the signing certificate, in seconds since 1970');
  return {
    requested: () => requests.inc(),
    issued: () => issued.inc(),
    authenticationFailed: () => unauthenticated.inc(),
    requestUnreadable: () => unreadable.inc(),
    signingFailed: () => failed.inc(),
    expiry: (rootNotAfterMs, chainNotAfterMs) => {
      root.set(rootNotAfterMs / 1000);
      chain.set(chainNotAfterMs / 1000);
    },
  };
}
