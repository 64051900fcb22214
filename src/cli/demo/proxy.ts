/** One Envoy beside one workload: bootstrap, token and command line. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildBootstrap } from '../../envoy/bootstrap/bootstrap.ts';
import { envoyFlags } from '../../envoy/bootstrap/flags.ts';
import { bootstrapToJson, secretFileToJson } from '../../envoy/bootstrap/json.ts';
import { issueToken } from '../../identity/localtoken.ts';
import { replaceStateFile } from '../../identity/privatefile.ts';
import type { DemoWorkload } from './topology.ts';

export interface ControlPlaneAddress {
  readonly address: string;
  /** xDS over TLS. */
  readonly port: number;
  readonly stateDir: string;
}

/** Writes the proxy's files into `dir` and returns its command line. */
export async function prepareProxy(
  envoy: string,
  workload: DemoWorkload,
  controlPlane: ControlPlaneAddress,
  dir: string,
): Promise<readonly [string, ...string[]]> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  await renewToken(workload, controlPlane.stateDir, dir);
  const [region = '', zone = '', subZone = ''] = workload.locality.split('/');
  const { address, labels } = workload;
  const app = labels['app'] ?? workload.name;
  const { bootstrap, files } = buildBootstrap({
    node: {
      type: workload.type,
      name: workload.name,
      namespace: workload.namespace,
      ips: [address],
      domainSuffix: 'cluster.local',
      serviceAccount: workload.serviceAccount,
      serviceCluster: `${app}.${workload.namespace}`,
      locality: { region, zone, subZone },
      metadata: {
        LABELS: labels,
        WORKLOAD_NAME: workload.name,
        OWNER: `kubernetes://apis/networking.istio.io/v1/namespaces/${workload.namespace}/workloadentries/${workload.name}`,
        CLUSTER_ID: 'Kubernetes',
        MESH_ID: 'cluster.local',
        INTERCEPTION_MODE: 'NONE',
      },
    },
    controlPlane: {
      host: controlPlane.address,
      port: controlPlane.port,
      protocol: 'delta',
      security: {
        kind: 'tls',
        serverName: 'istiod.istio-system.svc',
        rootFile: join(controlPlane.stateDir, 'ca', 'root-cert.pem'),
        credential: { kind: 'token', file: tokenFile(dir) },
      },
    },
    directory: dir,
    admin: { address, port: 15000 },
    prometheus: { address, port: 15090 },
    readiness: { address, port: 15021 },
    stats: { prefixes: [], suffixes: [], regexes: [] },
  });
  for (const { file, secret } of files) writeFileSync(join(dir, file), JSON.stringify(secretFileToJson(secret)));
  const config = join(dir, 'bootstrap.json');
  writeFileSync(config, JSON.stringify(bootstrapToJson(bootstrap)));
  return [envoy, '-c', config, '--log-level', 'warning', ...envoyFlags({ concurrency: 1, drainSeconds: 5 })];
}

/** Envoy watches the folder and takes the new token for its next stream. */
export async function renewToken(workload: DemoWorkload, stateDir: string, dir: string): Promise<void> {
  const { namespace, serviceAccount } = workload;
  const { token } = await issueToken({ namespace, serviceAccount, stateDir });
  replaceStateFile(tokenFile(dir), token, 'secret');
}

function tokenFile(dir: string): string {
  return join(dir, 'token');
}
