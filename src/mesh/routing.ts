/** VirtualServices and DestinationRules with their names resolved. */
import type { DestinationRule } from '../apis/destination-rule.ts';
import type { MeshConfig } from '../apis/mesh-config.ts';
import { keyOf } from '../apis/object.ts';
import type { Destination, VirtualService } from '../apis/virtual-service.ts';
import { resolveHost } from './host.ts';
import type { HttpRouteSpec, MeshDestinationRule, MeshVirtualService } from './model.ts';
import { clusterDomain, exportTo } from './services.ts';

export function meshVirtualService(object: VirtualService, mesh: MeshConfig): MeshVirtualService {
  const spec = object.spec;
  const resolve = (host: string): string => resolveHost(host, object.namespace, clusterDomain);
  const gateway = (name: string): string => (name === 'mesh' || name.includes('/') ? name : `${object.namespace}/${name}`);
  const destination = <D extends { readonly destination: Destination }>(d: D): D => ({
    ...d,
    destination: { ...d.destination, host: resolve(d.destination.host) },
  });
  const http: HttpRouteSpec[] = (spec.http ?? []).map((route) => ({
    ...route,
    ...(route.route === undefined ? {} : { route: route.route.map(destination) }),
    ...(route.mirror === undefined ? {} : { mirror: { ...route.mirror, host: resolve(route.mirror.host) } }),
    ...(route.mirrors === undefined ? {} : { mirrors: route.mirrors.map(destination) }),
    ...(route.match === undefined
      ? {}
      : {
          match: route.match.map((match) => (match.gateways === undefined ? match : { ...match, gateways: match.gateways.map(gateway) })),
        }),
  }));
  return {
    object: keyOf(object),
    name: object.name,
    namespace: object.namespace,
    hosts: [...new Set((spec.hosts ?? []).map(resolve))],
    gateways: spec.gateways === undefined || spec.gateways.length === 0 ? ['mesh'] : spec.gateways.map(gateway),
    exportTo: exportTo(spec.exportTo, mesh.defaultVirtualServiceExportTo, object.namespace),
    http,
    ...(object.creationTimestamp === undefined ? {} : { creationTimestamp: object.creationTimestamp }),
  };
}

export function meshDestinationRule(object: DestinationRule, mesh: MeshConfig): MeshDestinationRule {
  return {
    host: resolveHost(object.spec.host, object.namespace, clusterDomain),
    namespace: object.namespace,
    exportTo: exportTo(object.spec.exportTo, mesh.defaultDestinationRuleExportTo, object.namespace),
    spec: object.spec,
    objects: [keyOf(object)],
  };
}

/** Rules of one namespace for one host: subsets are joined, the first traffic policy holds. They come oldest first. */
export function mergeRules(rules: readonly MeshDestinationRule[]): MeshDestinationRule | undefined {
  const [first, ...rest] = rules;
  if (first === undefined || rest.length === 0) return first;
  const names = new Set<string>();
  const subsets = rules
    .flatMap((rule) => rule.spec.subsets ?? [])
    .filter((subset) => !names.has(subset.name) && names.add(subset.name) !== undefined);
  const policy = rules.find((rule) => rule.spec.trafficPolicy !== undefined)?.spec.trafficPolicy;
  return {
    ...first,
    spec: { ...first.spec, subsets, ...(policy === undefined ? {} : { trafficPolicy: policy }) },
    objects: rules.flatMap((rule) => rule.objects),
  };
}
