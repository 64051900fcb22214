/** The daemon's translation without a daemon: manifests in, what a proxy would get out. No identity, no secrets of workloads. */
import { readFile } from 'node:fs/promises';
import { References } from '../analysis/references.ts';
import { parseMeshConfig } from '../apis/mesh-config-parse.ts';
import { type ConfigObject, objectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { untranslatedPaths } from '../apis/untranslated.ts';
import { gatewaySecret } from '../ca/credentials.ts';
import { Mesh } from '../mesh/mesh.ts';
import { Objects } from '../mesh/objects.ts';
import { Snapshot } from '../snapshot/snapshot.ts';
import { loadDirectory } from '../sources/directory/load.ts';
import { Graph } from '../store/graph.ts';
import { createValidator } from '../wire/validate.ts';
import type { Registry } from '@bufbuild/protobuf';
import { readRegistry } from './descriptors.ts';
import { Intake } from './objects.ts';

export interface OfflineMesh {
  readonly snapshot: Snapshot;
  readonly registry: Registry;
  /** Of the objects, and of what was translated so far: `open` a proxy first. */
  problems(): Problem[];
}

/** Rejects where the folder or the MeshConfig file cannot be read. */
export async function offlineMesh(path: string, meshConfigFile?: string): Promise<OfflineMesh> {
  const registry = readRegistry();
  const objects = new Objects(new Graph());
  const snapshot = new Snapshot(objects, {
    validator: createValidator(registry),
    untranslated: untranslatedPaths,
    readCredential: (name, lookup) => gatewaySecret(name, lookup, Date.now()),
    onFault,
    admit: () => undefined,
  });
  const references = new References(snapshot.mesh, onFault);
  const key = objectKey('MeshConfig', '', meshConfigFile ?? '');
  const meshConfig =
    meshConfigFile === undefined ? undefined : parseMeshConfig(await readFile(meshConfigFile, 'utf8'), { file: meshConfigFile }, key);
  const intake = new Intake({ objects, ...(meshConfig === undefined ? {} : { meshConfig }), changed: () => {}, event: () => {} });
  const { objects: upserts, problems } = await loadDirectory(path);
  intake.apply({ upserts, deletes: [], problems: new Map([['', problems]]) });
  snapshot.flush();
  return { snapshot, registry, problems: () => [...intake.problems(), ...references.problems(), ...snapshot.problems()] };
}

/** Problems between objects: what one names and none of the others has. Throws on a fault of ours. */
export function referenceProblems(objects: readonly ConfigObject[]): Problem[] {
  const held = new Objects(new Graph());
  const mesh = new Mesh(held, { onFault, untranslated: untranslatedPaths });
  const references = new References(mesh, onFault);
  new Intake({ objects: held, changed: () => {}, event: () => {} }).apply({ upserts: objects, deletes: [], problems: new Map() });
  held.graph.flush();
  return references.problems();
}

function onFault(collection: string, key: string, cause: unknown): never {
  throw new Error(`fault in the translation of ${collection} ${key}`, { cause });
}
