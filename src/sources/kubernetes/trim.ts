/** What is kept of each kind, decided when an object arrives: a pod of 15 KB is one of 600 bytes from then on. */
import { conditionsFingerprint } from '../../apis/condition.ts';
import { isRecord, type RawObject } from '../../kubernetes/list.ts';

type Trimmed = Record<string, unknown>;

/** managedFields, ownerReferences and finalizers are nobody's business here. */
function metadata({ metadata: from }: RawObject, annotation: (name: string) => boolean = ofIstio): Trimmed {
  const { name, namespace, resourceVersion, creationTimestamp, generation, labels, annotations } = from;
  const kept = isRecord(annotations) ? Object.entries(annotations).filter(([key]) => annotation(key)) : [];
  return {
    name,
    ...(namespace !== undefined && { namespace }),
    resourceVersion,
    ...(creationTimestamp !== undefined && { creationTimestamp }),
    ...(generation !== undefined && { generation }),
    ...(labels !== undefined && { labels }),
    ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }),
  };
}

/** Among others `kubectl.kubernetes.io/last-applied-configuration` repeats the whole object. */
function ofIstio(name: string): boolean {
  return /(^|\.)istio\.io\//.test(name);
}

function allButApplied(name: string): boolean {
  return name !== 'kubectl.kubernetes.io/last-applied-configuration';
}

export function trimSpec(object: RawObject): Trimmed {
  return { metadata: metadata(object, allButApplied), ...('spec' in object && { spec: object['spec'] }), ...ownStatus(object) };
}

/** Of a kind that nobody reads: it is named in a condition, no more. */
export function trimUnread(object: RawObject): Trimmed {
  return { metadata: metadata(object, allButApplied), ...ownStatus(object) };
}

/** What is ours in it, as a fingerprint: enough to know whether it is to be written. */
function ownStatus(object: RawObject): Trimmed {
  const conditions = conditionsFingerprint(record(object['status'])['conditions']);
  return conditions === '' ? {} : { status: { conditions } };
}

export function trimMetadata(object: RawObject): Trimmed {
  return { metadata: metadata(object, allButApplied) };
}

/** Of its status only at which addresses a load balancer has it. */
export function trimService(object: RawObject): Trimmed {
  const ingress = list(record(record(object['status'])['loadBalancer'])['ingress']).map((one) => pick(record(one), ['ip', 'hostname']));
  return { ...trimSpec(object), ...(ingress.length > 0 && { status: { loadBalancer: { ingress } } }) };
}

/** What a node reports of its images and its health, several times an hour, is nobody's business here. */
export function trimNode(object: RawObject): Trimmed {
  const addresses = list(record(object['status'])['addresses'])
    .map((address) => pick(record(address), ['type', 'address']))
    .filter(({ type }) => type === 'ExternalIP');
  return { ...trimMetadata(object), ...(addresses.length > 0 && { status: { addresses } }) };
}

export function trimPod(object: RawObject): Trimmed {
  const spec = record(object['spec']);
  const status = record(object['status']);
  return {
    metadata: metadata(object),
    spec: {
      ...pick(spec, ['serviceAccountName', 'nodeName', 'hostNetwork']),
      containers: [...list(spec['containers']), ...list(spec['initContainers'])].flatMap((container) => {
        const ports = list(record(container)['ports']).map((port) => pick(record(port), ['name', 'containerPort', 'protocol']));
        return ports.length === 0 ? [] : [{ name: record(container)['name'], ports }];
      }),
    },
    status: pick(status, ['podIP', 'podIPs', 'phase']),
  };
}

export function trimSlice(object: RawObject): Trimmed {
  return {
    metadata: metadata(object),
    ...pick(object, ['addressType', 'ports']),
    endpoints: list(object['endpoints']).map((endpoint) => {
      const from = record(endpoint);
      const ref = from['targetRef'];
      return {
        ...pick(from, ['addresses', 'conditions', 'hostname', 'nodeName', 'zone']),
        ...(isRecord(ref) && { targetRef: pick(ref, ['kind', 'namespace', 'name']) }),
      };
    }),
  };
}

/** Keys that a gateway's credential may have, of both forms that Istio reads. */
const credentialKeys = ['tls.crt', 'tls.key', 'ca.crt', 'ca.crl', 'tls.ocsp-staple', 'cert', 'key', 'cacert', 'crl'];

/** Undefined for a Secret without any such key: it is not kept, not even its name. */
export function trimSecret(object: RawObject): Trimmed | undefined {
  const data = pick(record(object['data']), credentialKeys);
  if (Object.keys(data).length === 0) return undefined;
  return { metadata: metadata(object), ...pick(object, ['type']), data };
}

export function trimConfigMap(object: RawObject): Trimmed {
  return { metadata: metadata(object), data: pick(record(object['data']), ['mesh', 'meshNetworks']) };
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): Trimmed {
  const picked: Trimmed = {};
  for (const name of names) if (from[name] !== undefined && from[name] !== null) picked[name] = from[name];
  return picked;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
