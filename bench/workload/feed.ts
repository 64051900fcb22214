import type { Edit } from './edit.ts';
import type { Item, MeshSize, SimulatedProxy } from './mesh.ts';

/** When an edit was written, in ms of `nowMs()`: its first and its last object. */
export interface Written {
  readonly firstMs: number;
  readonly lastMs: number;
}

/** Where the servers that are measured get their objects from. */
export interface Feed extends AsyncDisposable {
  readonly kind: 'folder' | 'kubernetes';
  /** In words, for people who start servers on it. */
  readonly place: string;
  /** Writes what is not there already. */
  load(items: readonly Item[]): Promise<void>;
  apply(edit: Edit): Promise<Written>;
  /** One pod of the service goes and another one comes; over a folder its last endpoint gets another address. `n`: how many did so before. */
  replacePod(size: MeshSize, service: number, n: number): Promise<void>;
  /** A token of the workload's service account; undefined where only the server that was started can make one. */
  readonly token?: (proxy: SimulatedProxy) => Promise<string>;
  /** The mesh's root certificates in PEM, where a control plane publishes them for pods. */
  readonly roots?: () => Promise<string>;
}
