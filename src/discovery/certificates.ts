/** The certificate authority of the daemon and what stands on it: serving certificate, workload certificates, who proves what. */
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { loadPluggedAuthority, loadSelfSignedAuthority } from '../ca/authority.ts';
import { TrustBundle } from '../ca/bundle.ts';
import { ServingCertificate } from '../ca/serving.ts';
import { CertificateAuthority } from '../ca/signer.ts';
import { WorkloadCertificates } from '../ca/workload.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import type { Log } from '../admin/log.ts';
import type { CaMetrics } from '../admin/metrics/ca.ts';
import { Authenticator } from '../identity/authenticator.ts';
import { CertificateVerifier } from '../identity/certificate.ts';
import { loadTokenKey, LocalTokenReviewer } from '../identity/localtoken.ts';
import { isRefusal, type TokenReviewer } from '../identity/proof.ts';
import type { Authenticate } from '../xds/server.ts';

export interface Certificates {
  readonly ca: CertificateAuthority;
  readonly serving: ServingCertificate;
  readonly workloads: WorkloadCertificates;
  readonly authenticator: Authenticator;
  readonly authenticate: Authenticate;
  stop(): void;
}

/** Names under which proxies reach the daemon. */
export const servingNames = [
  'istiod.istio-system.svc',
  'istiod.istio-system.svc.cluster.local',
  'istiod.istio-system',
  'istiod',
  'istio-pilot.istio-system.svc',
  'mizzen',
  'localhost',
  '127.0.0.1',
];

export function openCertificates(options: {
  readonly stateDir: string;
  readonly mesh: MeshConfig;
  readonly ttlMs: number;
  readonly servingNames: readonly string[];
  readonly log: Log;
  readonly metrics: CaMetrics;
  /** Who checks tokens; default: the token key of the state folder. */
  readonly reviewers?: readonly TokenReviewer[];
}): Certificates {
  const { stateDir, mesh, ttlMs } = options;
  const log = options.log.scope('ca');
  const now = Date.now;
  const plugged = join(stateDir, 'cacerts');
  const authority = existsSync(plugged) ? loadPluggedAuthority(plugged, now()) : loadSelfSignedAuthority(stateDir, mesh.trustDomain, now());
  options.metrics.expiry(Math.min(...authority.roots.map((root) => root.validToDate.getTime())), authority.notAfter.getTime());
  const bundle = new TrustBundle(mesh.trustDomain, mesh.trustDomainAliases, authority.roots);
  const ca = new CertificateAuthority({ authority, bundle, now, defaultTtlMs: ttlMs });
  const serving = new ServingCertificate({
    ca,
    names: options.servingNames,
    ttlMs: 24 * 3600_000,
    onError: (error, retryInMs) => log.error({ err: error, retryInMs }, 'the serving certificate could not be renewed'),
  });
  const workloads = new WorkloadCertificates({
    ca,
    onIssued: (spiffeId, certificate) => {
      options.metrics.issued();
      log.info({ spiffeId, serial: certificate.serial, notAfter: certificate.notAfter }, 'certificate issued');
    },
    onError: (spiffeId, error, retryInMs) => {
      options.metrics.secretFailed();
      log.error({ spiffeId, err: error, retryInMs }, 'a certificate could not be issued');
    },
  });
  const authenticator = new Authenticator({
    trustDomain: mesh.trustDomain,
    reviewers: options.reviewers ?? [new LocalTokenReviewer(loadTokenKey(stateDir), { now })],
    certificates: new CertificateVerifier({ roots: () => bundle.roots, trustDomains: () => bundle.trustDomains, now }),
  });
  const authenticate: Authenticate = async (credentials) => {
    if (!credentials.secure) return { caller: { address: credentials.peer, secure: false } };
    const proven = await authenticator.authenticate(credentials);
    if (isRefusal(proven)) return { refused: proven.refused };
    const { spiffeId, trustDomain, namespace, serviceAccount, pod } = proven;
    return {
      caller: {
        address: credentials.peer,
        secure: true,
        identity: { spiffeId, trustDomain, namespace, serviceAccount, ...(pod !== undefined && { pod }) },
      },
      validForMs: Math.max(0, proven.expiresAt.getTime() - now()),
    };
  };
  return {
    ca,
    serving,
    workloads,
    authenticator,
    authenticate,
    stop: () => {
      serving.stop();
      workloads.stop();
    },
  };
}
