/** Puts what the sources deliver into the collections, and keeps the list of what is wrong with it. */
import { meshConfigMapName, type ConfigMap } from '../apis/config-map.ts';
import { defaultMeshConfig } from '../apis/mesh-config.ts';
import { meshConfigOf, type ParsedMeshConfig } from '../apis/mesh-config-parse.ts';
import { meshNetworksOf, noNetworks } from '../apis/mesh-networks.ts';
import { keyOf, objectKey, type ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { ProblemIndex, type ProblemSource } from '../apis/problem-index.ts';
import type { MeshConfigSource, Objects } from '../mesh/objects.ts';
import type { ObjectChange, ObjectSink } from '../sources/source.ts';

/** Where problems are told of that no source knows; they come before those of objects. */
const meshConfigPlace = 'mesh configuration';
const networksPlace = 'mesh networks';

export interface IntakeOptions {
  readonly objects: Objects;
  /** Where ConfigMap `istio` is. Default `istio-system`. */
  readonly namespace?: string;
  /** Whose ConfigMap it is: `istio`, and `istio-<revision>` of others than the default one. */
  readonly revision?: string;
  /** From a file: the ConfigMap does not count then. */
  readonly meshConfig?: ParsedMeshConfig;
  readonly changed: () => void;
  readonly event: (kind: string, event: 'add' | 'update' | 'delete') => void;
}

export class Intake implements ObjectSink, ProblemSource {
  private readonly options: IntakeOptions;
  private readonly meshConfigMap: ObjectKey;
  private readonly index = new ProblemIndex();
  private trustDomain: string | undefined;

  constructor(options: IntakeOptions) {
    this.options = options;
    this.meshConfigMap = objectKey('ConfigMap', options.namespace ?? 'istio-system', meshConfigMapName(options.revision ?? 'default'));
    this.index.set(meshConfigPlace, options.meshConfig?.problems ?? []);
    if (options.meshConfig !== undefined) options.objects.setMeshConfig({ config: options.meshConfig.config });
  }

  apply(change: ObjectChange): void {
    const { objects, event } = this.options;
    for (const object of change.upserts) {
      event(object.kind, objects.object(keyOf(object)) === undefined ? 'add' : 'update');
      objects.put(object);
      if (keyOf(object) === this.meshConfigMap) this.setMesh(object as ConfigMap);
    }
    for (const key of change.deletes) {
      event(key.slice(0, key.indexOf('/')), 'delete');
      objects.remove(key);
      if (key === this.meshConfigMap) this.removeMeshConfig();
    }
    for (const [place, problems] of change.problems) this.index.set(`objects ${place}`, problems);
    this.options.changed();
  }

  /**
   * From now on certificates are signed and callers are checked for the trust domain that is in force: another one waits for the next start. Were only the
   * translation to follow it, proxies would expect of each other what none of them has, and every request would fail.
   */
  keepTrustDomain(): void {
    this.trustDomain = this.options.objects.meshConfig().trustDomain;
  }

  problems(): readonly Problem[] {
    return this.index.problems();
  }

  problemsOf(object: ObjectKey): readonly Problem[] {
    return this.index.problemsOf(object);
  }

  /** See `ProblemIndex.listen`. */
  onProblems(listener: (objects: ReadonlySet<ObjectKey>) => void): () => void {
    return this.index.listen(listener);
  }

  /** The networks are read of it even where the mesh configuration is a file. */
  private setMesh(object: ConfigMap): void {
    this.setMeshConfig(object);
    const parsed = meshNetworksOf(object);
    this.index.set(networksPlace, parsed.problems);
    if (parsed.valid) this.options.objects.setMeshNetworks({ networks: parsed.networks, object: this.meshConfigMap });
  }

  /** A mesh configuration with an error in it leaves the last good one in force. */
  private setMeshConfig(object: ConfigMap): void {
    if (this.options.meshConfig !== undefined) return;
    const parsed = meshConfigOf(object);
    const problems = parsed.valid ? this.enforce({ config: parsed.config, object: this.meshConfigMap }) : [];
    this.index.set(meshConfigPlace, [...parsed.problems, ...problems]);
  }

  private removeMeshConfig(): void {
    this.index.set(networksPlace, []);
    this.options.objects.setMeshNetworks({ networks: noNetworks });
    if (this.options.meshConfig !== undefined) return;
    this.index.set(meshConfigPlace, this.enforce({ config: defaultMeshConfig }));
  }

  /** What of it is not in force. */
  private enforce(source: MeshConfigSource): Problem[] {
    const problems: Problem[] = [];
    const kept = this.trustDomain ?? source.config.trustDomain;
    if (kept !== source.config.trustDomain) {
      const message = `the trust domain stays ${kept} and becomes ${source.config.trustDomain} when mizzen discovery is started again`;
      const problem: Problem = {
        object: this.meshConfigMap,
        path: 'data.mesh: trustDomain',
        reason: 'NotTranslated',
        severity: 'warning',
        message,
      };
      problems.push(problem);
    }
    this.options.objects.setMeshConfig({ ...source, config: { ...source.config, trustDomain: kept } });
    return problems;
  }
}
