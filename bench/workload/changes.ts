/** The changes whose cost is measured. Each knows how to recognise itself in what a proxy receives. */
import * as types from '../streams/types.ts';
import {
  endpointsPerService,
  type Manifest,
  type MeshSize,
  namedService,
  namespaceManifests,
  namespaceOf,
  namespacesFile,
  routeFile,
  routeManifest,
  serviceFile,
  serviceManifests,
} from './mesh.ts';

export interface Change {
  readonly file: string;
  readonly manifests: readonly Manifest[];
  /** The types of resources in which a proxy first sees it (a changed route comes as RDS or as VHDS), and a text that only they hold. */
  readonly types: readonly string[];
  readonly marker: string;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** The nth change, from 0; all differ. */
  readonly change: (n: number) => Change;
}

/** Changes of one kind in a run; the texts that mark them have three digits. */
export const maxChanges = 100;

export const scenarioNames: readonly string[] = ['endpoint', 'virtual-service', 'service'];

function mark(n: number): number {
  return 100 + n;
}

function addedNames(n: number): { name: string; namespace: string } {
  return { name: `added-${mark(n)}`, namespace: namespaceOf(n) };
}

function addedService(n: number): Manifest[] {
  const { name, namespace } = addedNames(n);
  const addresses = Array.from({ length: endpointsPerService }, (_, e) => `10.201.${mark(n)}.${mark(e)}`);
  return namedService(name, namespace, `10.113.0.${mark(n)}`, addresses);
}

/** Without VirtualServices there is none to change. */
export function scenarios(size: MeshSize): Scenario[] {
  const spread = (n: number, of: number): number => Math.floor((n * of) / maxChanges) % of;
  const routes: Scenario = {
    name: 'virtual-service',
    title: 'one VirtualService changes',
    change: (n) => {
      const marker = `changed-${mark(n)}`;
      const route = spread(n * 7, size.virtualServices);
      return { file: routeFile(route), manifests: [routeManifest(size, route, marker)], types: [types.routes, types.virtualHosts], marker };
    },
  };
  return [
    {
      name: 'endpoint',
      title: 'one endpoint changes',
      change: (n) => {
        const service = spread(n * 7, size.services);
        const marker = `10.200.${mark(n)}.100`;
        return { file: serviceFile(service), manifests: serviceManifests(service, marker), types: [types.endpoints], marker };
      },
    },
    ...(size.virtualServices > 0 ? [routes] : []),
    {
      name: 'service',
      title: 'one Service is added',
      // Behind the namespaces, in a file that is there: of a new file the folder source first finds out whether another one was renamed to it, by looking
      // at all. The documents that the file had are not read again.
      change: (n) => {
        const all = Array.from({ length: n + 1 }, (_, i) => addedService(i));
        const { name, namespace } = addedNames(n);
        return {
          file: namespacesFile,
          manifests: [...namespaceManifests(), ...all.flat()],
          types: [types.clusters],
          marker: `outbound|80||${name}.${namespace}.svc.cluster.local`,
        };
      },
    },
  ];
}
