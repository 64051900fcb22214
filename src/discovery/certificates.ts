/** The certificate authority of the daemon and what stands on it: serving certificate, workload certificates, who proves what. */
import { ClusterCa } from '../ca/cluster/cluster-ca.ts';
import { TrustBundle } from '../ca/bundle.ts';
import { FolderCa } from '../ca/folder-ca.ts';
import { MountedCertificate } from '../ca/mounted.ts';
import { ServingCertificate, type ServingSource } from '../ca/serving.ts';
import { CertificateAuthority } from '../ca/signer.ts';
import type { CaStore } from '../ca/store.ts';
import { WorkloadCertificates } from '../ca/workload.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import { objectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Log } from '../admin/log.ts';
import type { CaMetrics } from '../admin/metrics/ca.ts';
import { Authenticator } from '../identity/authenticator.ts';
import { CertificateVerifier } from '../identity/certificate.ts';
import { loadTokenKey, LocalTokenReviewer } from '../identity/localtoken.ts';
import { isRefusal, type TokenReviewer } from '../identity/proof.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { clusterDomain } from '../mesh/services.ts';
import type { Authenticate } from '../xds/server.ts';
import type { Instance, ServingFiles } from './options.ts';
import type { ClusterAccess } from './origin.ts';

export interface Certificates {
  /** What is in force, and how far a rotation is. */
  readonly store: CaStore;
  readonly ca: CertificateAuthority;
  readonly serving: ServingSource;
  readonly workloads: WorkloadCertificates;
  readonly authenticator: Authenticator;
  readonly authenticate: Authenticate;
  /** Of the Secrets that a certificate authority is given in. */
  problems(): Problem[];
  stop(): Promise<void>;
}

/** Names under which proxies reach the daemon: those of its Services, istiod's among them, and the machine's own. */
export function servingNames({ namespace, revision }: Pick<Instance, 'namespace' | 'revision'>): string[] {
  const services = ['istiod', 'istiod-remote', 'istio-pilot', 'mizzen'];
  if (revision !== 'default') services.push(`istiod-${revision}`, `mizzen-${revision}`);
  const names = services.flatMap((service) => {
    const name = `${service}.${namespace}`;
    return [service, name, `${name}.svc`, `${name}.svc.${clusterDomain}`];
  });
  return [...names, 'localhost', '127.0.0.1'];
}

export interface CertificatesOptions {
  readonly stateDir: string;
  /** As it is at the moment; its trust domain is that of the start. */
  readonly mesh: () => MeshConfig;
  readonly ttlMs: number;
  readonly servingNames: readonly string[];
  /** In place of a certificate of our own. */
  readonly servingFiles?: ServingFiles;
  readonly log: Log;
  readonly metrics: CaMetrics;
  readonly instance: Instance;
  /** The certificate authority is kept in its Secrets; default: in the state folder. */
  readonly cluster?: ClusterAccess;
  /** Who checks tokens; default: the token key of the state folder. */
  readonly reviewers?: readonly TokenReviewer[];
}

/** Waits for the API server where the cluster keeps the certificate authority. */
export async function openCertificates(options: CertificatesOptions, signal: AbortSignal): Promise<Certificates> {
  const { ttlMs, metrics } = options;
  const log = options.log.scope('ca');
  const now = Date.now;
  const { trustDomain, trustDomainAliases } = options.mesh();
  const { store, stop } = await openStore(options, trustDomain, signal);
  const { authority, roots } = store.view;
  const bundle = new TrustBundle(trustDomain, trustDomainAliases, roots);
  const ca = new CertificateAuthority({ authority, bundle, now, defaultTtlMs: ttlMs });
  const follow = (): void => {
    const { view } = store;
    bundle.update(view.authority.roots, view.roots);
    ca.use(view.authority);
    metrics.expiry(Math.min(...view.authority.roots.map((root) => root.validToDate.getTime())), view.authority.notAfter.getTime());
    metrics.rotation(view.state.phase, store.problems().length);
  };
  follow();
  const endFollowing = store.onChange(follow);
  const serving = openServing(options, ca);
  const workloads = new WorkloadCertificates({
    ca,
    onIssued: (spiffeId, certificate) => {
      metrics.issued();
      log.info({ spiffeId, serial: certificate.serial, notAfter: certificate.notAfter }, 'certificate issued');
    },
    onError: (spiffeId, error, retryInMs) => {
      metrics.secretFailed();
      log.error({ spiffeId, err: error, retryInMs }, 'a certificate could not be issued');
    },
  });
  const authenticator = new Authenticator({
    trustDomain,
    reviewers: options.reviewers ?? [new LocalTokenReviewer(loadTokenKey(options.stateDir), { now })],
    certificates: new CertificateVerifier({
      roots: () => bundle.roots,
      trustDomains: () => [trustDomain, ...options.mesh().trustDomainAliases],
      now,
    }),
  });
  return {
    store,
    ca,
    serving,
    workloads,
    authenticator,
    authenticate: authenticateBy(authenticator, now),
    problems: () =>
      store.problems().map(({ name, ...problem }) => ({ ...problem, object: objectKey('Secret', options.instance.namespace, name) })),
    stop: async () => {
      endFollowing();
      serving.stop();
      workloads.stop();
      await stop();
    },
  };
}

function openServing({ servingFiles, servingNames: names, log: logs }: CertificatesOptions, ca: CertificateAuthority): ServingSource {
  const log = logs.scope('ca');
  if (servingFiles !== undefined) {
    const onError = (error: unknown): void =>
      log.error({ err: error }, 'the mounted serving certificate cannot be read; the one before stays');
    return new MountedCertificate({ ...servingFiles, bundle: ca.bundle, onError });
  }
  return new ServingCertificate({
    ca,
    names,
    ttlMs: 24 * 3600_000,
    onError: (error, retryInMs) => log.error({ err: error, retryInMs }, 'the serving certificate could not be renewed'),
  });
}

async function openStore(
  { cluster, stateDir, instance, log: logs }: CertificatesOptions,
  trustDomain: string,
  signal: AbortSignal,
): Promise<{ readonly store: CaStore; stop(): Promise<void> }> {
  const log = logs.scope('ca');
  if (cluster === undefined) {
    const store = FolderCa.open(stateDir, trustDomain, Date.now());
    for (const warning of store.warnings) log.warn(warning);
    return { store, stop: async () => {} };
  }
  const store = await ClusterCa.open(
    {
      api: cluster.api,
      transport: cluster.transport,
      clock: systemClock,
      now: Date.now,
      namespace: instance.namespace,
      trustDomain,
      onFault: (error) => log.warn({ err: error }, 'the certificate authority in the cluster; what was in force stays in force'),
    },
    signal,
  );
  const stopped = new AbortController();
  const running = store.run(stopped.signal);
  running.catch((error: unknown) => log.error({ err: error }, 'fault while following the Secrets of the certificate authority'));
  return {
    store,
    stop: async () => {
      stopped.abort();
      await running.catch(() => undefined);
    },
  };
}

function authenticateBy(authenticator: Authenticator, now: () => number): Authenticate {
  return async (credentials) => {
    if (!credentials.secure) return { caller: { address: credentials.peer, secure: false } };
    const proven = await authenticator.authenticate(credentials);
    // Not the caller's fault: it is to come back with the same.
    if (isRefusal(proven) && proven.reason === 'unavailable') throw new Error(proven.refused);
    if (isRefusal(proven)) return { refused: proven.refused };
    const { spiffeId, trustDomain, namespace, serviceAccount, pod, cluster } = proven;
    return {
      caller: {
        address: credentials.peer,
        secure: true,
        identity: {
          spiffeId,
          trustDomain,
          namespace,
          serviceAccount,
          ...(pod !== undefined && { pod }),
          ...(cluster !== undefined && { cluster }),
        },
      },
      validForMs: Math.max(0, proven.expiresAt.getTime() - now()),
    };
  };
}
