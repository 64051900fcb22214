/** The inbound side of a workload, shared by its replicas: listeners and clusters of its ports. */
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import type { ObjectKey } from '../apis/object.ts';
import { keyOf } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Sidecar } from '../apis/sidecar.ts';
import { buildInboundClusters } from '../envoy/clusters/inbound.ts';
import type { Families } from '../envoy/families.ts';
import { buildInboundListeners } from '../envoy/listeners/inbound.ts';
import type { InboundEndpoint, InboundPort, InboundWorkload } from '../envoy/listeners/inbound-workload.ts';
import { workloadPort } from '../mesh/endpoints.ts';
import type { InterceptionMode } from '../mesh/model.ts';
import { protocolOf } from '../mesh/protocol.ts';
import { KeySet } from '../store/keys.ts';
import { clusterType, listenerType } from '../wire/types.ts';
import type { Feature } from './features.ts';
import { SnapshotPart, type Touched } from './part.ts';
import { resourceLists, type Translation } from './translation.ts';

/** What replicas of one workload have in common. */
export interface WorkloadScope {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Named ports. */
  readonly ports: Readonly<Record<string, number>>;
  /** Of pods. */
  readonly containerPorts?: Readonly<Record<string, number>>;
  readonly interceptionMode: InterceptionMode;
  /** Of the proxy's addresses, where IPv6 is among them. */
  readonly families?: Families;
  /** Only without interception, where listeners have addresses of their own: then the workload is not shared. */
  readonly address?: string;
}

export class InboundPart extends SnapshotPart {
  private readonly disposables: { dispose(): void }[];

  constructor(t: Translation, id: string, scope: WorkloadScope, touched: Touched) {
    super(id, touched);
    const only = new KeySet(t.mesh.graph, []).addFixed(['inbound']);
    const reads = [t.mesh.services, t.mesh.authorizationPolicies];
    const listeners = resourceLists<string>(t, `${id} listeners`, only, reads, (_key, problems) => {
      const { workload, objects } = inboundWorkload(t, scope, problems);
      const built = buildInboundListeners(workload);
      problems.push(...built.problems);
      return built.resources.map((listener) => t.encoder.encode(ListenerSchema, listener.name, listener, objects, problems));
    });
    const clusters = resourceLists<string>(t, `${id} clusters`, only, reads, (_key, problems) => {
      const { workload, objects } = inboundWorkload(t, scope, []);
      return buildInboundClusters(workload).map((cluster) => t.encoder.encode(ClusterSchema, cluster.name, cluster, objects, problems));
    });
    this.disposables = [listeners, clusters, only];
    this.follow(listenerType, listeners).follow(clusterType, clusters);
  }

  get portCount(): number {
    return this.table(clusterType)?.size ?? 0;
  }

  protected override featureOf(): Feature {
    return 'inbound';
  }

  override dispose(): void {
    super.dispose();
    for (const d of this.disposables) d.dispose();
  }
}

function inboundWorkload(t: Translation, scope: WorkloadScope, problems: Problem[]): { workload: InboundWorkload; objects: ObjectKey[] } {
  const { mesh } = t;
  const config = mesh.objects.meshConfig();
  const mtls = mesh.peerAuthentication(scope.namespace, scope.labels);
  const policies = mesh.authorizationOf(scope.namespace, scope.labels, 'sidecar');
  const sidecar = mesh.sidecarOf(scope.namespace, scope.labels);
  const ports = servicePorts(t, scope, mtls);
  const ingress = sidecar?.spec.ingress ?? [];
  // Without interception nothing reaches a port that no ingress listener binds.
  const fromServices = scope.interceptionMode === 'NONE' ? [] : [...ports.values()];
  const chosen = ingress.length === 0 || sidecar === undefined ? fromServices : ingressPorts(sidecar, scope, mtls, ports, problems);
  const workload: InboundWorkload = {
    interceptionMode: scope.interceptionMode,
    family: scope.families ?? 'ipv4',
    ports: chosen,
    otherPorts: { mtls: mtls.mode, byNumber: mtls.ports },
    policies,
    secrets: t.capabilities.secrets,
    mesh: config,
  };
  return { workload, objects: [...(sidecar === undefined ? [] : [keyOf(sidecar)]), ...policies.map((p) => p.object)] };
}

type Mtls = ReturnType<Translation['mesh']['peerAuthentication']>;

/** Ports that Services name, by number at the workload; the oldest Service decides the protocol. */
function servicePorts(t: Translation, scope: WorkloadScope, mtls: Mtls): Map<number, InboundPort> {
  const ports = new Map<number, InboundPort>();
  for (const service of t.mesh.servicesOf(scope.namespace, scope.labels)) {
    for (const port of service.ports) {
      if (port.protocol === 'udp') continue;
      const number = workloadPort(port, scope);
      if (number === undefined) continue;
      const known = ports.get(number);
      if (known !== undefined) {
        if (!known.hosts.includes(service.host)) ports.set(number, { ...known, hosts: [...known.hosts, service.host] });
        continue;
      }
      ports.set(number, {
        number,
        protocol: port.protocol,
        mtls: mtls.ports[number] ?? mtls.mode,
        hosts: [service.host],
        service: { name: service.name, namespace: service.namespace, port: port.number },
        endpoint: { kind: 'original-destination' },
      });
    }
  }
  return ports;
}

/** The Sidecar's ingress listeners instead of the Services' ports. */
function ingressPorts(
  sidecar: Sidecar,
  scope: WorkloadScope,
  mtls: Mtls,
  services: ReadonlyMap<number, InboundPort>,
  problems: Problem[],
): InboundPort[] {
  const ports = new Map<number, InboundPort>();
  for (const [i, listener] of (sidecar.spec.ingress ?? []).entries()) {
    const number = listener.port.number ?? 0;
    const path = `spec.ingress[${i}]`;
    const endpoint = ingressEndpoint(listener.defaultEndpoint, number, scope);
    if (endpoint === undefined) {
      problems.push({
        object: keyOf(sidecar),
        path: `${path}.defaultEndpoint`,
        reason: 'Invalid',
        severity: 'error',
        message: `${listener.defaultEndpoint ?? ''} is neither 127.0.0.1:PORT, 0.0.0.0:PORT nor unix:///PATH`,
      });
      continue;
    }
    if (ports.has(number)) {
      problems.push({
        object: keyOf(sidecar),
        path: `${path}.port.number`,
        reason: 'Conflict',
        severity: 'error',
        message: `port ${number} has an ingress listener already; this one is left out`,
      });
      continue;
    }
    const unbound = listener.captureMode === 'NONE' || scope.interceptionMode === 'NONE';
    const bind = listener.bind !== undefined && listener.bind !== '' ? listener.bind : unbound ? scope.address : undefined;
    const known = services.get(number);
    ports.set(number, {
      number,
      protocol: protocolOf(listener.port.protocol),
      mtls: mtls.ports[number] ?? mtls.mode,
      hosts: known?.hosts ?? [`${sidecar.name}.${sidecar.namespace}`],
      ...(known?.service === undefined ? {} : { service: known.service }),
      endpoint,
      ...(unbound && bind !== undefined ? { bind } : {}),
      object: keyOf(sidecar),
    });
  }
  return [...ports.values()];
}

function ingressEndpoint(written: string | undefined, port: number, scope: WorkloadScope): InboundEndpoint | undefined {
  if (written === undefined || written === '') {
    return scope.interceptionMode === 'NONE' ? { kind: 'address', address: '127.0.0.1', port } : { kind: 'original-destination' };
  }
  if (written.startsWith('unix://')) return { kind: 'unix', path: written.slice('unix://'.length) };
  const colon = written.lastIndexOf(':');
  const address = written.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const number = Number(written.slice(colon + 1));
  if (colon < 0 || !Number.isInteger(number) || number < 1 || number > 65535) return undefined;
  if (address === '0.0.0.0' || address === '::') {
    return scope.address === undefined ? { kind: 'original-destination' } : { kind: 'address', address: scope.address, port: number };
  }
  return { kind: 'address', address, port: number };
}
