/** Kubernetes Services and ServiceEntries as services of the mesh. Pure; nothing is read but the arguments. */
import type { KubernetesService } from '../apis/kubernetes-service.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import { keyOf } from '../apis/object.ts';
import type { ServiceEntry } from '../apis/service-entry.ts';
import type { Resolution, Service, ServicePort } from './model.ts';
import { protocolOf, selectProtocol } from './protocol.ts';
import { trafficDistribution } from './traffic-distribution.ts';

/** Domain of Kubernetes Services. */
export const clusterDomain = 'cluster.local';

/** The annotation `networking.istio.io/traffic-distribution` of an object's namespace; asked only where the object does not say it itself. */
type OfNamespace = () => string | undefined;

export function fromKubernetesService(object: KubernetesService, mesh: MeshConfig, ofNamespace: OfNamespace = none): Service {
  const spec = object.spec;
  const host = `${object.name}.${object.namespace}.svc.${clusterDomain}`;
  const headless = spec.clusterIP === 'None';
  const external = spec.type === 'ExternalName';
  const addresses =
    headless || external ? [] : [...new Set([spec.clusterIP ?? '', ...(spec.clusterIPs ?? [])])].filter((a) => a !== '' && a !== 'None');
  const annotated = object.annotations['networking.istio.io/exportTo'];
  const ports: ServicePort[] = (spec.ports ?? []).map((port) => {
    const name = port.name ?? '';
    const base = {
      name,
      number: port.port,
      protocol: selectProtocol({ name, number: port.port, transport: port.protocol, appProtocol: port.appProtocol }),
    };
    return port.targetPort === undefined || external ? base : { ...base, targetPort: port.targetPort };
  });
  const distribution = trafficDistribution(spec.trafficDistribution, object.annotations, ofNamespace);
  return {
    key: `${object.namespace}/${host}`,
    host,
    namespace: object.namespace,
    name: object.name,
    registry: 'Kubernetes',
    ports,
    addresses,
    resolution: external ? 'dns-strict' : headless ? 'passthrough' : 'eds',
    meshExternal: external,
    headless,
    ...(spec.publishNotReadyAddresses === true && { publishNotReady: true }),
    ...(distribution !== undefined && { trafficDistribution: distribution }),
    ...(spec.internalTrafficPolicy === 'Local' && { nodeLocal: true }),
    exportTo: exportTo(
      annotated?.split(',').map((s) => s.trim()),
      mesh.defaultServiceExportTo,
      object.namespace,
    ),
    subjectAltNames: [],
    labels: object.labels,
    ...(spec.selector !== undefined && Object.keys(spec.selector).length > 0 && !external ? { selector: spec.selector } : {}),
    ...(object.creationTimestamp === undefined ? {} : { creationTimestamp: object.creationTimestamp }),
    ...(object.origin.cluster !== undefined && { cluster: object.origin.cluster }),
    object: keyOf(object),
  };
}

function none(): undefined {
  return undefined;
}

const resolutions: Readonly<Record<string, Resolution>> = {
  STATIC: 'eds',
  DNS: 'dns-strict',
  DNS_ROUND_ROBIN: 'dns-logical',
  NONE: 'passthrough',
};

/** One service per host of the entry. */
export function fromServiceEntry(object: ServiceEntry, mesh: MeshConfig, ofNamespace: OfNamespace = none): Service[] {
  const spec = object.spec;
  const distribution = trafficDistribution(undefined, object.annotations, ofNamespace);
  const ports: ServicePort[] = (spec.ports ?? []).map((port) => {
    const declared = protocolOf(port.protocol);
    const protocol = declared === 'auto' ? selectProtocol({ name: port.name, number: port.number }) : declared;
    const base = { name: port.name, number: port.number, protocol };
    return port.targetPort === undefined ? base : { ...base, targetPort: port.targetPort };
  });
  return spec.hosts.map((written) => {
    const host = written.toLowerCase();
    return {
      key: `${object.namespace}/${host}`,
      host,
      namespace: object.namespace,
      name: object.name,
      registry: 'ServiceEntry',
      ports,
      addresses: spec.addresses ?? [],
      resolution: resolutions[spec.resolution ?? 'NONE'] ?? 'passthrough',
      meshExternal: (spec.location ?? 'MESH_EXTERNAL') === 'MESH_EXTERNAL',
      headless: false,
      ...(distribution !== undefined && { trafficDistribution: distribution }),
      exportTo: exportTo(spec.exportTo, mesh.defaultServiceExportTo, object.namespace),
      subjectAltNames: spec.subjectAltNames ?? [],
      labels: object.labels,
      ...(spec.workloadSelector?.labels === undefined ? {} : { selector: spec.workloadSelector.labels }),
      ...(object.creationTimestamp === undefined ? {} : { creationTimestamp: object.creationTimestamp }),
      object: keyOf(object),
    };
  });
}

/** `exportTo` with its default filled in and `.` made the namespace; `~` (nobody) stays. */
export function exportTo(written: readonly string[] | undefined, fallback: readonly string[], namespace: string): string[] {
  const list = written === undefined || written.length === 0 ? fallback : written;
  return [...new Set(list.map((to) => (to === '.' ? namespace : to)))].sort();
}

/** Whether something exported so is seen from a namespace; `undefined` is the view that holds only what all share. */
export function visibleFrom(exported: readonly string[], namespace: string | undefined): boolean {
  return exported.includes('*') || (namespace !== undefined && exported.includes(namespace));
}
