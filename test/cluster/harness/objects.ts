/** Objects that a person applies, and those that a kubelet would keep up to date: nodes and pods with their status. */
import type { KubeApi, KubeObject } from './api.ts';
import { eventually } from '../../envoy/harness/wait.ts';

type Strings = Readonly<Record<string, string>>;

/** Returns when the namespace has its default service account, without which no pod can be made in it. */
export async function addNamespace(api: KubeApi, name: string, labels: Strings = {}): Promise<void> {
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } };
  await eventually(`namespace ${name} has a default service account`, () => api.find(account), 30_000);
}

/** Returns when the namespace and all that was in it are gone. */
export async function removeNamespace(api: KubeApi, name: string): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await api.delete(namespace);
  await eventually(`namespace ${name} is gone`, async () => (await api.find(namespace)) === undefined, 60_000);
}

export async function addServiceAccount(api: KubeApi, namespace: string, name: string): Promise<void> {
  await api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
}

export interface NodeOptions {
  readonly region?: string;
  readonly zone?: string;
  /** `InternalIP`. */
  readonly ip?: string;
}

/** A node that is ready, with the labels that localities are made of. */
export async function addNode(api: KubeApi, name: string, { region, zone, ip }: NodeOptions = {}): Promise<void> {
  const labels = {
    'kubernetes.io/hostname': name,
    ...(region === undefined ? {} : { 'topology.kubernetes.io/region': region }),
    ...(zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone }),
  };
  const node = await api.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
  const addresses = [{ type: 'Hostname', address: name }, ...(ip === undefined ? [] : [{ type: 'InternalIP', address: ip }])];
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastTransitionTime: new Date().toISOString() }];
  await api.patch(node, { status: { addresses, conditions } }, 'status');
}

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  /** Where its containers really are: an address that is not a loopback one. */
  readonly ip: string;
  /** Of the other family, where it has one. */
  readonly otherIp?: string;
  /** Names of its own under a headless Service, as a StatefulSet gives them. */
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly node?: string;
  readonly serviceAccount?: string;
  readonly labels?: Strings;
  readonly annotations?: Strings;
  /** Named container ports. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly ready?: boolean;
  /** How long it stays, terminating, when it is deleted; default 0, because no kubelet ends its containers. */
  readonly graceSeconds?: number;
  /** Audience of the token in the volume `istio-token`. */
  readonly audience?: string;
}

export interface RunningPod extends KubeObject {
  readonly metadata: KubeObject['metadata'] & { readonly namespace: string; readonly uid: string };
  readonly spec: { readonly nodeName: string; readonly serviceAccountName: string };
}

export const defaultNode = 'node-1';

/** A pod bound to its node, running there, as the scheduler and the kubelet leave it. Its service account must exist. */
export async function addPod(api: KubeApi, options: PodOptions): Promise<RunningPod> {
  const pod = await api.create<RunningPod>(podManifest(options));
  return api.patch<RunningPod>(
    pod,
    { status: podStatus([options.ip, ...(options.otherIp === undefined ? [] : [options.otherIp])], options.ready ?? true) },
    'status',
  );
}

function podManifest({ namespace, name, labels = {}, annotations = {}, ports = {}, ...options }: PodOptions): KubeObject {
  const token = { audience: options.audience ?? 'istio-ca', expirationSeconds: 43_200, path: 'istio-token' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels, annotations },
    spec: {
      nodeName: options.node ?? defaultNode,
      ...(options.hostname !== undefined && { hostname: options.hostname }),
      ...(options.subdomain !== undefined && { subdomain: options.subdomain }),
      serviceAccountName: options.serviceAccount ?? 'default',
      terminationGracePeriodSeconds: options.graceSeconds ?? 0,
      containers: [
        {
          name: 'app',
          image: 'registry.invalid/app',
          ports: Object.entries(ports).map(([portName, containerPort]) => ({ name: portName, containerPort })),
          volumeMounts: [{ name: 'istio-token', mountPath: '/var/run/secrets/tokens' }],
        },
      ],
      volumes: [{ name: 'istio-token', projected: { sources: [{ serviceAccountToken: token }] } }],
    },
  };
}

function podStatus(ips: readonly string[], ready: boolean): object {
  const now = new Date().toISOString();
  const condition = (type: string, isTrue: boolean): object => ({ type, status: isTrue ? 'True' : 'False', lastTransitionTime: now });
  return {
    phase: 'Running',
    podIP: ips[0],
    podIPs: ips.map((ip) => ({ ip })),
    startTime: now,
    conditions: [
      condition('PodScheduled', true),
      condition('Initialized', true),
      condition('ContainersReady', ready),
      condition('Ready', ready),
    ],
    containerStatuses: [
      {
        name: 'app',
        image: 'registry.invalid/app',
        imageID: '',
        ready,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: now } },
      },
    ],
  };
}

/** What a kubelet writes when a readiness probe begins or ends to fail. */
export async function setReady(api: KubeApi, pod: RunningPod, ready: boolean): Promise<void> {
  const { podIPs } = pod['status'] as { podIPs: { ip: string }[] };
  await api.patch(
    pod,
    {
      status: podStatus(
        podIPs.map(({ ip }) => ip),
        ready,
      ),
    },
    'status',
  );
}

/** Deletes it as a kubelet does once its containers have ended: at once, whatever its grace period is. */
export async function removePod(api: KubeApi, pod: RunningPod): Promise<void> {
  await api.delete(pod, { gracePeriodSeconds: 0 });
}
