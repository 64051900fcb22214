import type { EncodedResource } from '../wire/resource.ts';
import type { TypeUrl } from '../xds/source.ts';
import type { SnapshotPart } from './part.ts';

/** What a list of parts shows together, lowest first: a later part's resource, or its hiding of a name, covers the same name of the earlier ones. */
export class Seen {
  readonly parts: readonly SnapshotPart[];

  constructor(parts: readonly SnapshotPart[]) {
    this.parts = parts;
  }

  find(type: TypeUrl, name: string): EncodedResource | undefined {
    for (let i = this.parts.length - 1; i >= 0; i--) {
      const table = this.parts[i]?.table(type);
      const resource = table?.get(name);
      if (resource !== undefined) return resource;
      if (table?.hides(name) === true) return undefined;
    }
    return undefined;
  }

  /** Whether a part above that of `index` has the name or withholds it. */
  covers(type: TypeUrl, index: number, name: string): boolean {
    return this.parts.some((part, i) => i > index && (part.table(type)?.get(name) !== undefined || part.table(type)?.hides(name) === true));
  }

  /** All names, or those `<route>/...`. */
  names(type: TypeUrl, route?: string): ReadonlySet<string> {
    const names = new Set<string>();
    for (const part of this.parts) {
      const table = part.table(type);
      for (const name of (route === undefined ? table?.names() : table?.namesUnder(route)) ?? []) names.add(name);
    }
    for (const name of names) if (this.find(type, name) === undefined) names.delete(name);
    return names;
  }
}
