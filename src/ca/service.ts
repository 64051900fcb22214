/** `istio.v1.auth.IstioCertificateService`: certificates for keys that proxies make themselves. */
import { Metadata, status, type ServerUnaryCall, type handleUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { create } from '@bufbuild/protobuf';
import { IstioCertificateResponseSchema, type IstioCertificateRequest, type IstioCertificateResponse } from '#gen/istio/v1/auth/ca_pb.js';
import type { Authenticator } from '../identity/authenticator.ts';
import { CredentialFault, textOf } from '../identity/fault.ts';
import { credentialsOf } from '../identity/grpc.ts';
import { isRefusal, type CallCredentials } from '../identity/proof.ts';
import { parseSigningRequest, type SigningRequest } from './csr.ts';
import { RateLimiter, type RateLimit } from './ratelimit.ts';
import type { CertificateAuthority, SignedCertificate } from './signer.ts';

/** istiod's names. */
export type CertificateCounter =
  | 'citadel_server_csr_count'
  | 'citadel_server_success_cert_issuance_count'
  | 'citadel_server_authentication_failure_count'
  | 'citadel_server_csr_parsing_err_count'
  | 'citadel_server_id_extraction_err_count'
  | 'citadel_server_csr_sign_err_count';

/** istiod's label `error` of `citadel_server_csr_sign_err_count`. */
export type CertificateError = 'CSR_ERROR' | 'TTL_ERROR' | 'CERT_GEN_ERROR';

export interface CertificateServiceOptions {
  readonly authenticator: Pick<Authenticator, 'authenticate'>;
  readonly ca: CertificateAuthority;
  readonly now: () => number;
  /** Per caller, that is identity and address. Default: 20 at once, then 2 a second. */
  readonly callerLimit?: RateLimit;
  /** All callers together. Default: 2,000 at once, then 1,000 a second, well below what signing takes of one core. */
  readonly totalLimit?: RateLimit;
  readonly count?: (counter: CertificateCounter, error?: CertificateError) => void;
  readonly onIssued?: (caller: { readonly spiffeId: string; readonly peer: string }, certificate: SignedCertificate) => void;
  /** For the log: who was refused what, and why. */
  readonly onRefused?: (peer: string, code: status, reason: string) => void;
}

type Call = ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>;

/** Before anything is proven: whoever floods us with bad tokens is not to use up what is meant for the others. */
const addressLimit: RateLimit = { burst: 500, perSecond: 100 };

/** What the caller gets. The log may know more. */
class CallError extends Error {
  readonly code: status;
  readonly logged: string;

  constructor(code: status, details: string, logged = details) {
    super(details);
    this.code = code;
    this.logged = logged;
  }
}

/** The method as a function of its request and the caller's credentials. Rejects with an error that carries a gRPC `code`. */
export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #perCaller: RateLimiter;
  readonly #total: RateLimiter;
  readonly #perAddress = new RateLimiter(addressLimit);

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    this.#perCaller = new RateLimiter(options.callerLimit ?? { burst: 20, perSecond: 2 });
    this.#total = new RateLimiter(options.totalLimit ?? { burst: 2_000, perSecond: 1_000 }, 1);
  }

  /** For `server.addService(services.certificates, service.implementation(secure))`. */
  implementation(secure: boolean): { CreateCertificate: handleUnaryCall<IstioCertificateRequest, IstioCertificateResponse> } {
    return {
      CreateCertificate: (call, callback) => void this.#serve(call, secure, callback),
    };
  }

  async #serve(call: Call, secure: boolean, callback: sendUnaryData<IstioCertificateResponse>): Promise<void> {
    let response: IstioCertificateResponse;
    try {
      response = await this.createCertificate(call.request, credentialsOf(call, secure));
    } catch (error) {
      callback({ ...this.#report(call.getPeer(), error), metadata: new Metadata() });
      return;
    }
    callback(null, response);
  }

  async createCertificate(request: IstioCertificateRequest, caller: CallCredentials): Promise<IstioCertificateResponse> {
    this.#count('citadel_server_csr_count');
    const now = this.#options.now();
    const host = hostOf(caller.peer);
    if (!this.#perAddress.take(host, now)) throw exhausted(host);
    const proven = await this.#options.authenticator.authenticate(caller);
    if (isRefusal(proven)) {
      this.#count('citadel_server_authentication_failure_count');
      const isOurs = proven.reason === 'unavailable';
      throw isOurs
        ? new CallError(status.UNAVAILABLE, 'credentials cannot be checked at present', proven.refused)
        : new CallError(status.UNAUTHENTICATED, 'request authentication failure', proven.refused);
    }
    if (!this.#perCaller.take(`${proven.spiffeId} ${host}`, now)) throw exhausted(proven.spiffeId);
    if (!this.#total.take('', now)) throw exhausted('all callers');
    this.#refuseMetadata(request);
    const ttlMs = this.#life(request.validityDuration);
    const { publicKey, hasCommonName } = this.#parse(request.csr);
    const signed = this.#sign(() =>
      this.#options.ca.signWorkload(proven, publicKey, { ttlMs, commonName: hasCommonName, byRequest: true }),
    );
    this.#count('citadel_server_success_cert_issuance_count');
    this.#options.onIssued?.({ spiffeId: proven.spiffeId, peer: caller.peer }, signed);
    // The last element is all roots in one: a client takes it as the roots, and of several it would keep one.
    return create(IstioCertificateResponseSchema, { certChain: [signed.leaf, ...signed.intermediates, this.#options.ca.bundle.pem] });
  }

  /** Neither is offered yet: signing something else than what was asked for would be worse than an error. */
  #refuseMetadata(request: IstioCertificateRequest): void {
    const text = (key: string): string => {
      const value = request.metadata?.[key];
      return value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
    };
    if (text('ImpersonatedIdentity') !== '') {
      this.#count('citadel_server_id_extraction_err_count');
      throw new CallError(status.PERMISSION_DENIED, 'ImpersonatedIdentity: this caller may not ask for the identity of another');
    }
    const signer = text('CertSigner').slice(0, 100);
    if (signer !== '') throw new CallError(status.INVALID_ARGUMENT, `CertSigner: there is no signer ${JSON.stringify(signer)} here`);
  }

  #life(seconds: bigint): number | undefined {
    if (seconds === 0n) return undefined;
    const max = this.#options.ca.maxTtlMs;
    if (seconds < 0n || seconds > BigInt(Math.floor(max / 1000))) {
      throw new CallError(
        status.INVALID_ARGUMENT,
        `validity_duration of ${seconds} s is not between 1 s and the maximum of ${max / 1000} s`,
      );
    }
    return Number(seconds) * 1000;
  }

  #parse(csr: string): SigningRequest {
    try {
      return parseSigningRequest(csr);
    } catch (error) {
      this.#count('citadel_server_csr_parsing_err_count');
      throw new CallError(status.INVALID_ARGUMENT, textOf(error));
    }
  }

  #sign(sign: () => SignedCertificate): SignedCertificate {
    try {
      return sign();
    } catch (error) {
      this.#options.count?.('citadel_server_csr_sign_err_count', errorOf(error));
      const callersFault = error instanceof CredentialFault && (error.code === 'ttl' || error.code === 'key');
      throw callersFault
        ? new CallError(status.INVALID_ARGUMENT, error.message)
        : new CallError(status.INTERNAL, 'the certificate could not be signed', textOf(error));
    }
  }

  #report(peer: string, error: unknown): { code: status; details: string } {
    const known = error instanceof CallError ? error : new CallError(status.INTERNAL, 'internal error', textOf(error));
    this.#options.onRefused?.(peer, known.code, known.logged);
    return { code: known.code, details: known.message };
  }

  #count(counter: CertificateCounter): void {
    this.#options.count?.(counter);
  }
}

function errorOf(error: unknown): CertificateError {
  const code = error instanceof CredentialFault ? error.code : undefined;
  return code === 'ttl' ? 'TTL_ERROR' : code === 'key' ? 'CSR_ERROR' : 'CERT_GEN_ERROR';
}

function exhausted(whose: string): CallError {
  return new CallError(status.RESOURCE_EXHAUSTED, `too many certificate requests of ${whose}, try again later`);
}

/** Values of the gauges `citadel_server_*_expiry_*`. */
export function expiryGauges(ca: CertificateAuthority, now: number): Readonly<Record<string, number>> {
  const root = Math.min(...ca.authority.roots.map((certificate) => certificate.validToDate.getTime()));
  const chain = ca.authority.notAfter.getTime();
  return {
    citadel_server_root_cert_expiry_timestamp: root / 1000,
    citadel_server_root_cert_expiry_seconds: (root - now) / 1000,
    citadel_server_cert_chain_expiry_timestamp: chain / 1000,
    citadel_server_cert_chain_expiry_seconds: (chain - now) / 1000,
  };
}

/** The port differs with every connection. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '');
}
