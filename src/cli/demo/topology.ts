/** What runs in the demo, read from the manifests themselves: a workload for each WorkloadEntry, and where its application listens and calls out. */
import type { ConfigObject } from '../../apis/object.ts';
import type { Gateway } from '../../apis/gateway.ts';
import type { Sidecar } from '../../apis/sidecar.ts';
import type { WorkloadEntry } from '../../apis/workload-entry.ts';
import { CliError, exitCodes } from '../exit.ts';
import type { ShopService } from './shop.ts';

export interface DemoWorkload {
  readonly type: 'sidecar' | 'router';
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  /** The application behind a sidecar. */
  readonly service?: ShopService;
}

export interface Topology {
  readonly workloads: readonly DemoWorkload[];
  /** Address and port of the gateway's first HTTP server. */
  readonly gateway: { readonly address: string; readonly port: number };
}

/** Throws with the object's name where the manifests lack what the demo needs. */
export function topologyOf(objects: readonly ConfigObject[]): Topology {
  const gateway = ofKind<Gateway>(objects, 'Gateway')[0];
  if (gateway === undefined)
    throw new CliError(exitCodes.usage, 'the folder declares no Gateway: the demo needs one to send requests through');
  const sidecars = ofKind<Sidecar>(objects, 'Sidecar');
  const workloads = ofKind<WorkloadEntry>(objects, 'WorkloadEntry').map((entry) => demoWorkload(entry, gateway, sidecars));
  const router = workloads.find((w) => w.type === 'router');
  const port = gateway.spec.servers?.find((s) => s.port.protocol === 'HTTP')?.port.number;
  if (router === undefined) throw new CliError(exitCodes.usage, `no WorkloadEntry has the labels that Gateway ${nameOf(gateway)} selects`);
  if (port === undefined) throw new CliError(exitCodes.usage, `Gateway ${nameOf(gateway)} has no server of protocol HTTP`);
  return { workloads, gateway: { address: router.address, port } };
}

function demoWorkload(entry: WorkloadEntry, gateway: Gateway, sidecars: readonly Sidecar[]): DemoWorkload {
  const { address = '', labels = {}, serviceAccount = 'default', locality = '' } = entry.spec;
  const type = entry.namespace === gateway.namespace && selects(gateway.spec.selector, labels) ? 'router' : 'sidecar';
  const common = { name: entry.name, namespace: entry.namespace, address, serviceAccount, labels, locality };
  if (type === 'router') return { type, ...common };
  const sidecar = sidecars.find((s) => s.namespace === entry.namespace && selects(s.spec.workloadSelector?.labels, labels));
  return { type, ...common, service: serviceOf(entry, labels, sidecar) };
}

/** Without interception the Sidecar alone says where the application is. */
function serviceOf(entry: WorkloadEntry, labels: Readonly<Record<string, string>>, sidecar: Sidecar | undefined): ShopService {
  const endpoint = /^(.+):(\d+)$/.exec(sidecar?.spec.ingress?.[0]?.defaultEndpoint ?? '');
  if (endpoint === null) {
    throw new CliError(exitCodes.usage, `no Sidecar with an ingress listener and a defaultEndpoint selects WorkloadEntry ${nameOf(entry)}`);
  }
  const [, address = '', port = ''] = endpoint;
  const out = sidecar?.spec.egress?.find((e) => e.bind !== undefined && e.port?.number !== undefined);
  const egress = out?.bind === undefined || out.port?.number === undefined ? undefined : { address: out.bind, port: out.port.number };
  return {
    role: labels['app'] ?? entry.name,
    version: labels['version'] ?? 'v1',
    address,
    port: Number(port),
    ...(egress === undefined ? {} : { egress }),
  };
}

function selects(selector: Readonly<Record<string, string>> | undefined, labels: Readonly<Record<string, string>>): boolean {
  return selector !== undefined && Object.entries(selector).every(([key, value]) => labels[key] === value);
}

function ofKind<T extends ConfigObject>(objects: readonly ConfigObject[], kind: T['kind']): T[] {
  return objects.filter((o): o is T => o.kind === kind);
}

function nameOf(object: ConfigObject): string {
  return `${object.namespace}/${object.name}`;
}
