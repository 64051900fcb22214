import type { KubernetesService } from '../apis/kubernetes-service.ts';
import { keyOf, objectKey } from '../apis/object.ts';
import type { WorkloadEntry, WorkloadEntrySpec } from '../apis/workload-entry.ts';
import type { ServiceEntry } from '../apis/service-entry.ts';
import type { Locality, Workload } from './model.ts';
import { noLocality } from './model.ts';

/** Istio's defaulting of a WorkloadEntry's TLS mode: the label, else `istio` when a service account is named. */
const tlsModeLabel = 'security.istio.io/tlsMode';

export function fromWorkloadEntry(object: WorkloadEntry): Workload {
  return workload(object.spec, keyOf(object), object.name, object.namespace, { ...object.labels, ...object.spec.labels });
}

/** The name that a Service of type ExternalName stands for, found by DNS. */
export function externalName(object: KubernetesService, name: string): Workload {
  return workload({ address: name }, keyOf(object), object.name, object.namespace, {});
}

/** Endpoints that a ServiceEntry lists itself. Without any and with a DNS resolution the host is its own endpoint. */
export function inlineWorkloads(object: ServiceEntry, host: string): Workload[] {
  const listed = object.spec.endpoints ?? [];
  const dns = object.spec.resolution === 'DNS' || object.spec.resolution === 'DNS_ROUND_ROBIN';
  const specs: readonly WorkloadEntrySpec[] =
    listed.length === 0 && dns && object.spec.workloadSelector === undefined ? [{ address: host }] : listed;
  return specs.map((spec) =>
    workload(spec, objectKey('ServiceEntry', object.namespace, object.name), object.name, object.namespace, { ...spec.labels }),
  );
}

function workload(
  spec: WorkloadEntrySpec,
  object: Workload['object'],
  name: string,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Workload {
  const serviceAccount = spec.serviceAccount ?? '';
  return {
    object,
    name,
    namespace,
    addresses: spec.address === undefined || spec.address === '' ? [] : [spec.address],
    labels,
    ports: spec.ports ?? {},
    serviceAccount,
    network: spec.network ?? '',
    locality: parseLocality(spec.locality),
    weight: spec.weight === undefined || spec.weight === 0 ? 1 : spec.weight,
    meshTls: labels[tlsModeLabel] === undefined ? serviceAccount !== '' : labels[tlsModeLabel] === 'istio',
    healthy: true,
  };
}

/** `region/zone/subzone`, or dots where a label value carries it. */
export function parseLocality(text: string | undefined): Locality {
  if (text === undefined || text === '') return noLocality;
  const [region = '', zone = '', subZone = ''] = text.includes('/') ? text.split('/') : text.split('.');
  return { region, zone, subZone };
}
