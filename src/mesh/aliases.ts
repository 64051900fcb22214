/**
 * Services of type ExternalName that name a service of the mesh are other names of it: requests for them are that service's, with its routes, its rules and
 * its mutual TLS. Source: Istio, ENABLE_EXTERNAL_NAME_ALIAS.
 */
import type { KubernetesService } from '../apis/kubernetes-service.ts';
import type { ServiceEntry } from '../apis/service-entry.ts';
import { inCluster } from '../apis/object.ts';
import type { Index } from '../store/collection.ts';
import type { Objects } from './objects.ts';
import { clusterDomain, exportTo } from './services.ts';

export interface Alias {
  readonly host: string;
  readonly namespace: string;
  /** As of services. */
  readonly exportTo: readonly string[];
}

/** Names that name each other are followed no further. */
const maxHops = 8;

export class Aliases {
  private readonly objects: Objects;
  /** By the host that they name. */
  private readonly byTarget: Index<KubernetesService>;
  /** Whether there are any: one question for each host where there are none. */
  private readonly any: Index<KubernetesService>;
  private readonly entriesByHost: Index<ServiceEntry>;

  constructor(objects: Objects) {
    this.objects = objects;
    this.byTarget = objects.kinds.Service.index((o) => targetOf(o) ?? []);
    this.any = objects.kinds.Service.index((o) => (targetOf(o) === undefined ? [] : ['any']));
    this.entriesByHost = objects.kinds.ServiceEntry.index((o) => o.spec.hosts.map((host) => host.toLowerCase()));
  }

  /** Whether a Service stands for one of the mesh, directly or by way of others. Recorded. */
  isAlias(object: KubernetesService): boolean {
    let [target] = targetOf(object) ?? [];
    for (let hop = 0; hop < maxHops && target !== undefined; hop++) {
      if (this.entriesByHost.has(target)) return true;
      const named = this.serviceAt(target, object.origin.cluster);
      if (named === undefined) return false;
      const next = targetOf(named);
      if (next === undefined) return true;
      [target] = next;
    }
    return false;
  }

  /** Other names of a host, in order. Recorded. */
  of(host: string): Alias[] {
    if (!this.any.has('any')) return [];
    const found = new Map<string, Alias>();
    const follow = (target: string, hops: number): void => {
      if (hops === 0 || !this.byTarget.has(target)) return;
      for (const key of this.byTarget.keys(target)) {
        const object = this.objects.kinds.Service.get(key);
        if (object === undefined) continue;
        const alias = aliasOf(object, this.objects.meshConfig().defaultServiceExportTo);
        if (alias.host === host || found.has(alias.host)) continue;
        found.set(alias.host, alias);
        follow(alias.host, hops - 1);
      }
    };
    follow(host, maxHops);
    return [...found.values()].sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** In the same cluster, else in the one whose configuration is read. */
  private serviceAt(host: string, cluster: string | undefined): KubernetesService | undefined {
    const suffix = `.svc.${clusterDomain}`;
    const [name = '', namespace = '', ...rest] = host.endsWith(suffix) ? host.slice(0, -suffix.length).split('.') : [];
    if (name === '' || namespace === '' || rest.length > 0) return undefined;
    const { Service } = this.objects.kinds;
    return Service.get(`${namespace}/${name}${inCluster(cluster)}`) ?? Service.get(`${namespace}/${name}`);
  }
}

/** The host that an ExternalName names, as a list of one; undefined for other Services. */
function targetOf({ spec }: KubernetesService): string[] | undefined {
  if (spec.type !== 'ExternalName' || spec.externalName === undefined || spec.externalName === '') return undefined;
  return [spec.externalName.toLowerCase().replace(/\.$/, '')];
}

function aliasOf({ name, namespace, annotations }: KubernetesService, fallback: readonly string[]): Alias {
  const written = annotations['networking.istio.io/exportTo']?.split(',').map((to) => to.trim());
  return { host: `${name}.${namespace}.svc.${clusterDomain}`, namespace, exportTo: exportTo(written, fallback, namespace) };
}
