/** The two ports of the control plane: xDS in plaintext, and xDS with the certificate service over TLS. */
import { ServerCredentials } from '@grpc/grpc-js';
import type { Log } from '../admin/log.ts';
import type { Metrics } from '../admin/metrics.ts';
import { CertificateService, type CertificateCounter, type CertificateError } from '../ca/service.ts';
import type { Services } from '../wire/services.ts';
import type { StreamAdmission } from '../xds/admission.ts';
import { ReloadableCredentials } from '../xds/credentials.ts';
import type { DebugDesk } from '../xds/debug.ts';
import type { Hub } from '../xds/hub.ts';
import { createGrpcServer, Listener } from '../xds/listener.ts';
import { DiscoveryService } from '../xds/server.ts';
import type { StreamObserver } from '../xds/source.ts';
import type { Certificates } from './certificates.ts';
import type { DiscoveryOptions } from './options.ts';

export interface XdsPortsOptions {
  readonly hub: Hub;
  readonly admission: StreamAdmission;
  /** Whether there is memory for one more connection. */
  readonly accepts: () => boolean;
  readonly desk: DebugDesk;
  readonly certificates: Certificates;
  readonly services: Services;
  readonly metrics: Metrics;
  readonly observer: StreamObserver;
  readonly log: Log;
}

export class XdsPorts {
  readonly #options: XdsPortsOptions;
  readonly #listeners: Listener[] = [];
  readonly #endings: (() => void)[] = [];

  constructor(options: XdsPortsOptions) {
    this.#options = options;
  }

  /** Rejects with the port that could not be opened; `close` then closes the one that was. */
  async listen({ grpc, secureGrpc }: Pick<DiscoveryOptions, 'grpc' | 'secureGrpc'>): Promise<void> {
    const { hub, admission, accepts, desk, certificates, services, metrics, observer, log } = this.#options;
    const tls = new ReloadableCredentials(certificates.serving.current);
    this.#endings.push(certificates.serving.onChange(() => tls.set(certificates.serving.current)));
    const issue = this.#certificateService();
    const ports = [
      { name: 'plaintext', secure: false, credentials: ServerCredentials.createInsecure(), at: grpc },
      { name: 'TLS', secure: true, credentials: tls.credentials, at: secureGrpc },
    ];
    for (const { name, secure, credentials, at } of ports) {
      const server = createGrpcServer();
      let listener: Listener | undefined;
      const service = new DiscoveryService({
        hub,
        observer,
        authenticate: certificates.authenticate,
        desk,
        secure,
        admission,
        breakConnection: (peer) => listener?.breakConnection(peer),
        closeConnection: (peer) => listener?.closeConnection(peer),
      });
      service.addTo(server, services.aggregatedDiscovery, (bytes) => metrics.requestReceived(bytes));
      if (secure) server.addService(services.certificates, issue.implementation(true));
      listener = await Listener.listen(server, { credentials, host: at.address, port: at.port, accepts }).catch((cause: unknown) => {
        throw new Error(`xDS over ${name} cannot listen on ${at.address}:${at.port}: ${(cause as Error).message}`, { cause });
      });
      this.#listeners.push(listener);
      log.scope('default').info({ address: at.address, port: listener.port, secure }, 'xDS listening');
    }
  }

  /** Ends all streams and frees the ports. */
  async close(): Promise<void> {
    for (const end of this.#endings) end();
    this.#options.hub.close();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }

  #certificateService(): CertificateService {
    const { certificates, metrics } = this.#options;
    const log = this.#options.log.scope('ca');
    return new CertificateService({
      authenticator: certificates.authenticator,
      ca: certificates.ca,
      now: Date.now,
      count: (counter, error) => countCertificate(metrics.ca, counter, error),
      onIssued: ({ spiffeId, peer }, { serial, notAfter }) =>
        log.info({ spiffeId, peer, serial, notAfter }, 'certificate issued by request'),
      onRefused: (peer, code, reason) => log.warn({ peer, code, reason }, 'signing request refused'),
    });
  }
}

function countCertificate(metrics: Metrics['ca'], counter: CertificateCounter, error: CertificateError = 'CERT_GEN_ERROR'): void {
  switch (counter) {
    case 'citadel_server_csr_count':
      return metrics.requested();
    case 'citadel_server_success_cert_issuance_count':
      return metrics.issued();
    case 'citadel_server_authentication_failure_count':
      return metrics.authenticationFailed();
    case 'citadel_server_csr_parsing_err_count':
      return metrics.requestUnreadable();
    case 'citadel_server_id_extraction_err_count':
      return metrics.identityRefused();
    case 'citadel_server_csr_sign_err_count':
      return metrics.signingFailed(error);
    default:
      return counter satisfies never;
  }
}
