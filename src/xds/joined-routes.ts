import { concat, field, routeConfigurationFields, sotwResource, stringField, virtualHostFields } from '../wire/join.ts';
import { routeType, virtualHostType } from '../wire/types.ts';
import { onlyTableWith } from './delta-hosts.ts';
import { areStill, routeOf, versionsOf, type TableVersion } from './encoder.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Table } from './source.ts';
import type { PartsView } from './view.ts';

interface Joined {
  readonly shell: EncodedResource;
  version: number;
  readonly frame: Uint8Array;
}

/** Of several tables, one over the other. */
interface Merged {
  readonly shell: EncodedResource;
  readonly tables: readonly TableVersion[];
  readonly frame: Uint8Array;
}

/** Whole route tables for the streams that have no VHDS: the RouteConfiguration and its virtual hosts, joined from their bytes. */
export class JoinedRoutes {
  /** By the one table that has all hosts of the route. */
  readonly #cache = new WeakMap<Table, Map<string, Joined>>();
  /** By the topmost table, as of a namespace with routes of its own. */
  readonly #merged = new WeakMap<Table, Map<string, Merged>>();

  /** One `resources` field of a DiscoveryResponse. */
  frame(view: PartsView, shell: EncodedResource): Uint8Array {
    if (shell.vhds !== true) return sotwResource(routeType, shell.bytes);
    const table = onlyTableWith(shell.name, view);
    if (table === undefined) return this.#mergedFrame(view, shell);
    let routes = this.#cache.get(table);
    if (routes === undefined) this.#cache.set(table, (routes = new Map()));
    const known = routes.get(shell.name);
    if (known?.shell === shell && !hasChanged(table, known, shell.name)) {
      known.version = table.version;
      return known.frame;
    }
    const joined = { shell, version: table.version, frame: join(view, shell) };
    routes.set(shell.name, joined);
    return joined.frame;
  }

  #mergedFrame(view: PartsView, shell: EncodedResource): Uint8Array {
    const tables = view.parts.flatMap((part) => part.table(virtualHostType) ?? []);
    const top = tables.at(-1);
    if (top === undefined) return join(view, shell);
    let routes = this.#merged.get(top);
    if (routes === undefined) this.#merged.set(top, (routes = new Map()));
    const known = routes.get(shell.name);
    if (known?.shell === shell && areStill(known.tables, tables)) return known.frame;
    const frame = join(view, shell);
    routes.set(shell.name, { shell, tables: versionsOf(tables), frame });
    return frame;
  }
}

function hasChanged(table: Table, known: Joined, route: string): boolean {
  if (table.version === known.version) return false;
  const names = table.changedSince(known.version);
  if (names === undefined) return true;
  for (const name of names) if (routeOf(name) === route) return true;
  return false;
}

function join(view: PartsView, shell: EncodedResource): Uint8Array {
  const hosts: Uint8Array[] = [];
  for (const name of view.namesUnder(virtualHostType, shell.name)) {
    const host = view.find(virtualHostType, name);
    if (host === undefined) continue;
    hosts.push(
      field(routeConfigurationFields.virtualHosts, stringField(virtualHostFields.name, name.slice(shell.name.length + 1)), host.bytes),
    );
  }
  return sotwResource(routeType, concat(shell.bytes, ...hosts));
}
