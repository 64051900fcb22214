/** What objects name and nobody has: hosts, ports, subsets and gateways, rules of which another one has taken the host, and labels without a meaning. */
import { byAge, keyOf, type ConfigObject, type ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { ProblemIndex, type ProblemSource } from '../apis/problem-index.ts';
import { fieldPath, indexPath } from '../lib/path.ts';
import type { Mesh } from '../mesh/mesh.ts';
import { lazyLabelProblems } from './lazy-labels.ts';
import type { MeshDestinationRule, MeshVirtualService } from '../mesh/model.ts';
import { Derived } from '../store/collection.ts';

interface Destination {
  readonly host: string;
  readonly port?: { readonly number?: number } | undefined;
  readonly subset?: string | undefined;
}

/** Warnings, kept up to date with what they are about: a Service that appears ends the warnings of the routes that have waited for it. */
export class References implements ProblemSource {
  private readonly mesh: Mesh;
  private readonly index = new ProblemIndex();

  constructor(mesh: Mesh, onFault: (collection: string, key: string, error: unknown) => void) {
    this.mesh = mesh;
    const reads = [mesh.services, mesh.destinationRules, mesh.virtualServices, mesh.gateways];
    const equals = (a: readonly Problem[], b: readonly Problem[]): boolean => JSON.stringify(a) === JSON.stringify(b);
    const routes = new Derived<MeshVirtualService, readonly Problem[]>({
      name: 'virtualServiceReferences',
      feature: 'references',
      from: mesh.virtualServices,
      reads,
      compute: (_key, virtualService) => virtualServiceProblems(mesh, virtualService),
      equals,
      onFault,
    });
    const rules = new Derived<MeshDestinationRule, readonly Problem[]>({
      name: 'destinationRuleReferences',
      feature: 'references',
      from: mesh.destinationRules,
      reads,
      compute: (_key, rule) => destinationRuleProblems(mesh, rule),
      equals,
      onFault,
    });
    for (const collection of [routes, rules, ...lazyLabelProblems(mesh, onFault)]) {
      collection.listen((key, now) => this.index.set(`${collection.name}|${key}`, now ?? []));
    }
  }

  /** As of the last flush, with file and line. */
  problems(): Problem[] {
    return this.index.problems().map((problem) => this.mesh.objects.locate(problem));
  }

  problemsOf(object: ObjectKey): Problem[] {
    return this.index.problemsOf(object).map((problem) => this.mesh.objects.locate(problem));
  }

  /** See `ProblemIndex.listen`; told while a change is translated. */
  onProblems(listener: (objects: ReadonlySet<ObjectKey>) => void): () => void {
    return this.index.listen(listener);
  }
}

function virtualServiceProblems(mesh: Mesh, virtualService: MeshVirtualService): Problem[] {
  const problems: Problem[] = [];
  const warn = (path: string, reason: Problem['reason'], message: string): void => {
    problems.push({ object: virtualService.object, path, reason, severity: 'warning', message });
  };
  virtualService.gateways.forEach((gateway, i) => {
    if (gateway !== 'mesh' && mesh.gateways.get(gateway) === undefined) {
      warn(indexPath('spec.gateways', i), 'RefNotFound', `there is no Gateway ${gateway}; the routes are served by none of its proxies`);
    }
  });
  virtualService.http.forEach((route, i) => {
    const path = indexPath('spec.http', i);
    (route.route ?? []).forEach(({ destination }, j) => {
      checkDestination(mesh, virtualService, destination, fieldPath(indexPath(fieldPath(path, 'route'), j), 'destination'), warn);
    });
    if (route.mirror !== undefined) checkDestination(mesh, virtualService, route.mirror, fieldPath(path, 'mirror'), warn);
  });
  if (virtualService.gateways.includes('mesh')) {
    virtualService.hosts.forEach((host, i) => {
      const winner = otherRoutesOf(mesh, virtualService, host);
      if (winner !== undefined) {
        warn(
          indexPath('spec.hosts', i),
          'Conflict',
          `${winner} is older and has this host too: sidecars follow that one; merge the two or take the host out of one`,
        );
      }
    });
  }
  return problems;
}

function checkDestination(
  mesh: Mesh,
  { namespace }: MeshVirtualService,
  destination: Destination,
  path: string,
  warn: (path: string, reason: Problem['reason'], message: string) => void,
): void {
  const service = mesh.serviceAt(destination.host, namespace);
  if (service === undefined) {
    warn(
      fieldPath(path, 'host'),
      'RefNotFound',
      `namespace ${namespace} sees no service ${destination.host}; requests that come here get 503`,
    );
    return;
  }
  const port = destination.port?.number;
  if (port !== undefined && !service.ports.some(({ number }) => number === port)) {
    const known = service.ports.map(({ number }) => number).join(', ');
    warn(
      fieldPath(fieldPath(path, 'port'), 'number'),
      'RefNotFound',
      `service ${service.host} has no port ${port}, it has ${known}; requests that come here get 503`,
    );
  }
  const { subset } = destination;
  if (subset === undefined || subset === '') return;
  const rule = mesh.ruleAt(service, namespace);
  if (rule?.spec.subsets?.some(({ name }) => name === subset) === true) return;
  const where =
    rule === undefined
      ? `namespace ${namespace} sees no DestinationRule for ${service.host}`
      : `${rule.objects.join(', ')} has no such subset`;
  warn(fieldPath(path, 'subset'), 'RefNotFound', `subset ${subset} is not defined: ${where}; requests that come here get 503`);
}

/** Another VirtualService for the same host and the same readers that is older, so that sidecars follow it. */
function otherRoutesOf(mesh: Mesh, virtualService: MeshVirtualService, host: string): ObjectKey | undefined {
  const keys = mesh.meshRoutesByHost.keys(host);
  if (keys.size < 2) return undefined;
  const readers = (v: MeshVirtualService): string => v.exportTo.join();
  const rivals = [...keys]
    .map((key) => ({ routes: mesh.virtualServices.get(key), object: mesh.objects.kinds.VirtualService.get(key) }))
    .filter(
      (rival): rival is { routes: MeshVirtualService; object: ConfigObject & NonNullable<typeof rival.object> } =>
        rival.routes !== undefined && rival.object !== undefined,
    )
    .filter(({ routes }) => readers(routes) === readers(virtualService))
    .sort((a, b) => byAge(a.object, b.object));
  const first = rivals[0]?.routes.object;
  return first === virtualService.object ? undefined : first;
}

function destinationRuleProblems(mesh: Mesh, rule: MeshDestinationRule): Problem[] {
  return [...hostProblems(mesh, rule), ...subsetProblems(mesh, rule)];
}

/** Rules of one namespace for one host are merged: of subsets with one name the oldest holds. */
function subsetProblems(mesh: Mesh, { namespace, host, spec, objects }: MeshDestinationRule): Problem[] {
  const keys = mesh.rulesByHost.keys(`${namespace}|${host}`);
  const [object] = objects;
  if (keys.size < 2 || object === undefined || spec.subsets === undefined) return [];
  const rules = [...keys].flatMap((key) => mesh.objects.kinds.DestinationRule.get(key) ?? []).sort(byAge);
  const older = rules.slice(
    0,
    rules.findIndex((rival) => keyOf(rival) === object),
  );
  return spec.subsets.flatMap(({ name }, i): Problem[] => {
    const owner = older.find((rival) => rival.spec.subsets?.some((subset) => subset.name === name) === true);
    if (owner === undefined) return [];
    const message = `${keyOf(owner)} is older and has subset ${name} of ${host} too, which holds; give this one another name`;
    return [{ object, path: fieldPath(indexPath('spec.subsets', i), 'name'), reason: 'Conflict', severity: 'warning', message }];
  });
}

function hostProblems(mesh: Mesh, rule: MeshDestinationRule): Problem[] {
  if (mesh.servicesByPattern.has(rule.host) || mesh.servicesByHost.has(rule.host)) return [];
  const [object] = rule.objects;
  if (object === undefined) return [];
  const message = `no service has the host ${rule.host}: the rule has no effect; a short name means a service of namespace ${rule.namespace}`;
  return [{ object, path: 'spec.host', reason: 'RefNotFound', severity: 'warning', message }];
}
