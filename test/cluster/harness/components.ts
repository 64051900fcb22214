/** The command lines of etcd, the API server and the controller manager: what kubeadm sets, as far as it matters without a kubelet. */
import { isIPv4 } from 'node:net';
import type { Folder } from '../../envoy/harness/folder.ts';
import type { Binaries } from './binaries.ts';
import type { ComponentOptions } from './component.ts';
import { type ClusterAuthority, tokenKeys } from './keys.ts';
import { kubeconfig } from './kubeconfig.ts';

export const tokenIssuer = 'https://kubernetes.default.svc.cluster.local';
/** The first family is what a Service gets that asks for none. */
const serviceRange = '10.96.0.0/16,fd00:10:96::/112';
/** The first address of the range, which the API server gives to its own Service. */
const apiServiceAddress = '10.96.0.1';

export interface Layout {
  readonly binaries: Binaries;
  readonly folder: Folder;
  readonly authority: ClusterAuthority;
  /** Where the API server listens. */
  readonly address: string;
  readonly ports: { readonly etcd: number; readonly etcdPeer: number; readonly apiServer: number; readonly controllerManager: number };
}

export const apiServerUrl = ({ address, ports }: Layout): string => `https://${address}:${ports.apiServer}`;

const loopback = '127.0.0.1';

export function etcdOptions({ binaries, folder, ports }: Layout): ComponentOptions {
  const client = `http://${loopback}:${ports.etcd}`;
  const peer = `http://${loopback}:${ports.etcdPeer}`;
  const urls = [`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`, `--listen-peer-urls=${peer}`];
  const membership = [`--initial-advertise-peer-urls=${peer}`, `--initial-cluster=test=${peer}`, '--name=test'];
  return {
    name: 'etcd',
    // Without fsync a write costs microseconds. A killed process loses nothing by that: only a machine that loses power does.
    command: [binaries.etcd, `--data-dir=${folder.at('etcd')}`, '--unsafe-no-fsync', '--log-level=warn', ...urls, ...membership],
    log: folder.at('etcd.log'),
    ready: { address: loopback, port: ports.etcd, path: '/readyz' },
  };
}

/** Writes the keys and certificates that both others need. */
export async function writeCredentials({ folder, authority, address }: Layout): Promise<void> {
  const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
  const server = authority.server([...names, loopback, apiServiceAddress, ...(address === loopback ? [] : [address])]);
  const tokens = await tokenKeys();
  const files = { 'ca.crt': authority.certificate, 'server.crt': server.certificate, 'server.key': server.key };
  for (const [name, text] of Object.entries({ ...files, 'sa.key': tokens.privateKey, 'sa.pub': tokens.publicKey })) {
    folder.write(`pki/${name}`, text, 0o600);
  }
}

export function apiServerOptions({ binaries, folder, authority, address, ports }: Layout): ComponentOptions {
  if (!isIPv4(address)) throw new Error(`the API server's address must be an IPv4 address, not ${address}`);
  const pki = (name: string): string => folder.at('pki', name);
  const serving = [
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    `--secure-port=${ports.apiServer}`,
    `--tls-cert-file=${pki('server.crt')}`,
    `--tls-private-key-file=${pki('server.key')}`,
    // EndpointSlices refuse loopback addresses: there the Service `kubernetes` has no endpoint.
    ...(address.startsWith('127.') ? ['--endpoint-reconciler-type=none'] : []),
  ];
  const access = [
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--client-ca-file=${pki('ca.crt')}`,
    `--service-account-issuer=${tokenIssuer}`,
    `--service-account-key-file=${pki('sa.pub')}`,
    `--service-account-signing-key-file=${pki('sa.key')}`,
  ];
  return {
    name: 'kube-apiserver',
    command: [
      binaries.apiServer,
      `--etcd-servers=http://${loopback}:${ports.etcd}`,
      `--service-cluster-ip-range=${serviceRange}`,
      // Nothing routes Service addresses to it: webhooks are called on the endpoints of their Service.
      '--enable-aggregator-routing=true',
      ...serving,
      ...access,
    ],
    log: folder.at('kube-apiserver.log'),
    ready: { address, port: ports.apiServer, path: '/readyz', ca: authority.certificate },
  };
}

/** What makes objects of objects; nothing that schedules or judges nodes, as there are none that run. */
const controllers = [
  'endpointslice-controller',
  'namespace-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'root-ca-certificate-publisher-controller',
  'clusterrole-aggregation-controller',
  'garbage-collector-controller',
];

export function controllerManagerOptions(layout: Layout): ComponentOptions {
  const { binaries, folder, authority, ports } = layout;
  const user = authority.client('system:kube-controller-manager');
  const config = folder.write(
    'controller-manager.kubeconfig',
    kubeconfig({ server: apiServerUrl(layout), ca: authority.certificate, user }),
    0o600,
  );
  const pki = (name: string): string => folder.at('pki', name);
  const serving = [`--bind-address=${loopback}`, `--secure-port=${ports.controllerManager}`];
  return {
    name: 'kube-controller-manager',
    command: [
      binaries.controllerManager,
      `--kubeconfig=${config}`,
      `--controllers=${controllers.join(',')}`,
      '--use-service-account-credentials=true',
      `--service-account-private-key-file=${pki('sa.key')}`,
      `--root-ca-file=${pki('ca.crt')}`,
      '--leader-elect=false',
      // The default of 20 requests a second is for sparing a shared API server.
      '--kube-api-qps=500',
      '--kube-api-burst=1000',
      ...serving,
      `--tls-cert-file=${pki('server.crt')}`,
      `--tls-private-key-file=${pki('server.key')}`,
    ],
    log: folder.at('kube-controller-manager.log'),
    ready: { address: loopback, port: ports.controllerManager, path: '/healthz', ca: authority.certificate },
  };
}
