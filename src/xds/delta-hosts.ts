import { byRoute, type Encoder, type Step } from './encoder.ts';
import { routeType, virtualHostType } from '../wire/types.ts';
import type { DeltaType, OwnFrame, ResponseContent } from './delta-type.ts';
import type { Change, PartsView, Pointers } from './view.ts';
import type { Table } from './source.ts';

export interface HostsPlan {
  /** One route table each: a bad host refuses its whole response, and tables in it may or may not be applied. */
  readonly responses: readonly { readonly route: string; readonly content: ResponseContent }[];
  readonly pointers: Pointers;
  /** Hosts that went with their route table, to be removed once the client has let go of the table. */
  readonly orphans: ReadonlyMap<string, readonly string[]>;
}

/**
 * Virtual hosts over delta ADS. Envoy has one wildcard subscription to them and drops a host whose route table it does not have yet, so that
 * the hosts of a table are sent after the table, all in one response, and only of tables that it has.
 */
export class DeltaHosts {
  /** Route tables with virtual hosts of their own that the client has. */
  readonly #announced = new Set<string>();
  /** Those of which all hosts are due. */
  readonly #due = new Set<string>();
  readonly #orphans = new Map<string, Set<string>>();
  /** Hosts to be removed of tables that the client has let go of. */
  readonly #releases = new Map<string, readonly string[]>();

  /** The RouteConfiguration goes out: all its hosts follow, whatever the client claims to have. */
  routeSent(route: string): void {
    this.#announced.add(route);
    this.#due.add(route);
    this.#releases.delete(route);
  }

  /** The client has the RouteConfiguration from an earlier stream; its claims say which hosts. `all` when they are not known. */
  routeClaimed(route: string, all: boolean): void {
    this.#announced.add(route);
    if (all) this.#due.add(route);
  }

  /** After it was unsubscribed Envoy still claims the table's hosts: take them away by name. Returns whether it was there. */
  routeReleased(route: string, view: PartsView): boolean {
    if (!this.#announced.delete(route)) return false;
    this.#due.delete(route);
    const names = new Set([...view.namesUnder(virtualHostType, route), ...(this.#orphans.get(route) ?? [])]);
    this.#orphans.delete(route);
    if (names.size > 0) this.#releases.set(route, [...names]);
    return true;
  }

  has(route: string): boolean {
    return this.#announced.has(route);
  }

  /** Hosts of tables that went out, or were let go of, are yet to be sent. */
  get areDue(): boolean {
    return this.#due.size + this.#releases.size > 0;
  }

  /** Nothing is due but what has changed. */
  get isIdle(): boolean {
    return this.#due.size + this.#releases.size + this.#orphans.size === 0;
  }

  /** What is to be sent; undefined when a table no longer knows what has changed. Nothing changes here before `commit`. */
  plan(state: DeltaType, view: PartsView, encoder: Encoder, withChanges: boolean): HostsPlan | undefined {
    const pointers = view.pointers(virtualHostType);
    const first = state.pointers === undefined;
    const changes = first || !withChanges ? [] : view.changes(virtualHostType, state.pointers ?? pointers);
    if (changes === undefined) return undefined;
    const due = new RouteChanges();
    const orphans = new Map<string, readonly string[]>();
    for (const change of changes) this.#sort(change, changes, view, encoder, due, orphans);
    for (const [route, names] of byRoute([...state.touched, ...state.owed])) {
      if (!this.#announced.has(route)) continue;
      if (view.find(routeType, route) !== undefined) due.addNames(route, names);
      else orphans.set(route, [...(orphans.get(route) ?? []), ...names]);
    }
    for (const [route, names] of this.#orphans) {
      if (this.#announced.has(route) && view.find(routeType, route) !== undefined) due.addNames(route, [...names]);
    }
    if (first) this.#compareClaims(state.claims ?? new Map(), view, due);
    const responses: { route: string; content: ResponseContent }[] = [];
    for (const [route, removed] of this.#releases) responses.push({ route, content: { steps: [], own: [], removed } });
    for (const [route, removed] of due.releases) responses.push({ route, content: { steps: [], own: [], removed } });
    for (const route of this.#due) {
      responses.push({ route, content: this.#whole(route, state, view, encoder, due.namesOf(route)) });
    }
    for (const [route, { step, names }] of due.routes) {
      if (this.#due.has(route)) continue;
      const content = step !== undefined && state.repair === undefined ? contentOf(step) : this.#some(names(), state, view, encoder);
      if (content.steps.length + content.own.length + content.removed.length > 0) responses.push({ route, content });
    }
    return { responses, pointers: withChanges || first ? pointers : (state.pointers ?? pointers), orphans };
  }

  commit(plan: HostsPlan): void {
    this.#due.clear();
    this.#releases.clear();
    for (const { route } of plan.responses) this.#orphans.delete(route);
    for (const [route, names] of plan.orphans) {
      const known = this.#orphans.get(route);
      this.#orphans.set(route, new Set([...(known ?? []), ...names]));
    }
  }

  #sort(
    change: Change,
    changes: readonly Change[],
    view: PartsView,
    encoder: Encoder,
    due: RouteChanges,
    orphans: Map<string, readonly string[]>,
  ): void {
    const alone = view.standsAlone(virtualHostType, change, changes);
    for (const [route, step] of encoder.hostSteps(change.table, change.names)) {
      if (!this.#announced.has(route)) continue;
      if (view.find(routeType, route) === undefined) {
        orphans.set(route, [...(orphans.get(route) ?? []), ...step.gone]);
        continue;
      }
      if (alone) due.addStep(route, step);
      else
        due.addNames(
          route,
          namesOf(step).filter((name) => view.affected(virtualHostType, name, changes)),
        );
    }
  }

  #compareClaims(claims: ReadonlyMap<string, string>, view: PartsView, due: RouteChanges): void {
    for (const route of this.#announced) {
      if (this.#due.has(route)) continue;
      for (const name of view.namesUnder(virtualHostType, route)) {
        if (view.find(virtualHostType, name)?.version !== claims.get(name)) due.addNames(route, [name]);
      }
    }
    for (const [route, names] of byRoute(claims.keys())) {
      if (!this.#announced.has(route)) due.releases.set(route, names);
      else
        due.addNames(
          route,
          names.filter((name) => view.find(virtualHostType, name) === undefined),
        );
    }
  }

  /** All hosts of a table and the removal of those that have gone. A table without any is released by the removal of a name that never was. */
  #whole(route: string, state: DeltaType, view: PartsView, encoder: Encoder, changed: Iterable<string>): ResponseContent {
    const removed = new Set<string>();
    for (const name of changed) {
      if (view.find(virtualHostType, name) !== undefined) continue;
      removed.add(name);
      state.repair?.changed(name, undefined);
    }
    if (state.repair === undefined) {
      const steps = encoder.hostsOf(tablesOf(view), route);
      if (steps.length === 0 && removed.size === 0) removed.add(`${route}/-`);
      return { steps, own: [], removed: [...removed] };
    }
    const own: OwnFrame[] = [];
    for (const name of view.namesUnder(virtualHostType, route)) {
      const resource = view.find(virtualHostType, name);
      if (resource === undefined) continue;
      // What is under way may come before the table does, and is due again then.
      if (state.repair.excludes(name)) state.repair.changed(name, resource.version);
      else own.push({ resource, frames: encoder.frame(virtualHostType, resource) });
    }
    if (own.length === 0 && removed.size === 0) removed.add(`${route}/-`);
    return { steps: [], own, removed: [...removed] };
  }

  #some(names: Iterable<string>, state: DeltaType, view: PartsView, encoder: Encoder): ResponseContent {
    const own: OwnFrame[] = [];
    const removed: string[] = [];
    for (const name of names) {
      const resource = view.find(virtualHostType, name);
      if (state.repair?.excludes(name) === true) {
        if (state.repair.changed(name, resource?.version) === 'remove') removed.push(name);
      } else if (resource === undefined) removed.push(name);
      else own.push({ resource, frames: encoder.frame(virtualHostType, resource) });
    }
    return { steps: [], own, removed };
  }
}

interface RouteChange {
  /** Shared, when it is all that there is. */
  readonly step: Step | undefined;
  readonly names: () => Iterable<string>;
}

/** Changes by route table: one shared step as long as nothing else joins it, else names. */
class RouteChanges {
  readonly routes = new Map<string, RouteChange>();
  readonly releases = new Map<string, readonly string[]>();

  addStep(route: string, step: Step): void {
    if (this.routes.has(route)) this.addNames(route, namesOf(step));
    else this.routes.set(route, { step, names: () => namesOf(step) });
  }

  addNames(route: string, added: readonly string[]): void {
    if (added.length === 0) return;
    const names = new Set([...this.namesOf(route), ...added]);
    this.routes.set(route, { step: undefined, names: () => names });
  }

  namesOf(route: string): Iterable<string> {
    return this.routes.get(route)?.names() ?? [];
  }
}

function contentOf(step: Step): ResponseContent {
  return { steps: [step], own: [], removed: step.gone };
}

function namesOf(step: Step): string[] {
  return [...step.resources.map((resource) => resource.name), ...step.gone];
}

/** Those of virtual hosts, lowest first. */
function tablesOf(view: PartsView): Table[] {
  return view.parts.map((part) => part.table(virtualHostType)).filter((table) => table !== undefined);
}

/** The only table that has hosts of the route, if no other hides one of them. */
export function onlyTableWith(route: string, view: PartsView): Table | undefined {
  const tables = tablesOf(view);
  const having = tables.filter((table) => !isEmpty(table.namesUnder(route)));
  const [only] = having;
  if (only === undefined || having.length > 1) return undefined;
  const hiding = tables.filter((table) => table !== only && table.hiddenSize > 0);
  if (hiding.length === 0) return only;
  for (const name of only.namesUnder(route)) if (hiding.some((table) => table.hides(name))) return undefined;
  return only;
}

function isEmpty(names: Iterable<string>): boolean {
  for (const _ of names) return false;
  return true;
}
