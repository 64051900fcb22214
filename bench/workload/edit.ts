import type { Item, SimulatedProxy } from './mesh.ts';
import type { Mark } from './mark.ts';

/** What is written at once. */
export interface Edit {
  readonly put?: readonly Item[];
  readonly remove?: readonly Item[];
}

/** An edit, what shows that it has arrived, and where it must. */
export interface Change {
  readonly edit: Edit;
  readonly mark: Mark;
  readonly concerns: (proxy: SimulatedProxy) => boolean;
}
