/** The resources of one type in one part, kept up to date from collections whose entries are lists of resources. */
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import type { Derived } from '../store/collection.ts';
import type { Trace } from '../store/trace.ts';
import type { EncodedResource } from '../wire/resource.ts';
import type { Table } from '../xds/source.ts';

/** What one entry of a collection gives to a table. */
export interface ResourceList {
  readonly resources: readonly EncodedResource[];
  /** Names that a lower part has and this one withholds. */
  readonly hidden: readonly string[];
  readonly problems: readonly Problem[];
}

/** Entries whose values are lists of resources. */
export type ResourceLists<I = unknown> = Derived<I, ResourceList>;

export const noResources: ResourceList = { resources: [], hidden: [], problems: [] };

export function sameList(a: ResourceList, b: ResourceList): boolean {
  return (
    a.resources.length === b.resources.length &&
    a.resources.every(
      (r, i) => r.name === b.resources[i]?.name && r.version === b.resources[i]?.version && r.vhds === b.resources[i]?.vhds,
    ) &&
    a.hidden.length === b.hidden.length &&
    a.hidden.every((name, i) => name === b.hidden[i]) &&
    JSON.stringify(a.problems) === JSON.stringify(b.problems)
  );
}

interface Maker {
  provenance(key: string): ObjectKey[];
  trace(key: string, trace: Trace): ReadonlySet<ObjectKey>;
}

interface Held {
  readonly resource: EncodedResource;
  readonly from: Maker;
  readonly key: string;
}

interface Step {
  readonly version: number;
  readonly names: ReadonlySet<string>;
}

/** Steps that a table remembers. A stream that is further behind compares everything. */
const maxSteps = 128;

export class ResourceTable implements Table {
  version = 0;
  private readonly held = new Map<string, Held>();
  private readonly hidden = new Set<string>();
  private readonly routes = new Map<string, Set<string>>();
  private steps: Step[] = [];
  private pending = new Set<string>();
  private readonly merged = new Map<number, ReadonlySet<string>>();
  private readonly touched: (table: ResourceTable) => void;
  private readonly byRoute: boolean;
  private readonly ends: (() => void)[] = [];

  /** `touched` is called at the first change after a commit. `byRoute`: names are `<route>/<host>`, and are asked for by route. */
  constructor(touched: (table: ResourceTable) => void, byRoute = false) {
    this.touched = touched;
    this.byRoute = byRoute;
  }

  /** Adds the lists of a collection. Of two owners of one name the one written last shows. */
  follow<I>(lists: ResourceLists<I>): this {
    for (const key of lists.keysNow()) this.replace(lists, key, lists.peek(key), undefined);
    this.ends.push(lists.listen((key, now, before) => this.replace(lists, key, now, before)));
    return this;
  }

  /** Sets single resources that no collection gives, such as secrets. */
  put(resource: EncodedResource, objects: readonly ObjectKey[]): void {
    const trace = (_key: string, { among }: Trace): ReadonlySet<ObjectKey> => new Set(objects.filter((object) => among.has(object)));
    this.set(resource, { provenance: () => [...objects], trace }, resource.name);
  }

  drop(name: string): void {
    const held = this.held.get(name);
    if (held !== undefined) this.unset(held.resource);
  }

  dispose(): void {
    for (const end of this.ends) end();
  }

  get size(): number {
    return this.held.size;
  }

  get(name: string): EncodedResource | undefined {
    return this.held.get(name)?.resource;
  }

  hides(name: string): boolean {
    return this.hidden.has(name);
  }

  get hiddenSize(): number {
    return this.hidden.size;
  }

  hiddenNames(): Iterable<string> {
    return this.hidden;
  }

  hide(name: string, hidden: boolean): void {
    if (this.hidden.has(name) === hidden) return;
    if (hidden) this.hidden.add(name);
    else this.hidden.delete(name);
    this.touch(name);
  }

  names(): IterableIterator<string> {
    return this.held.keys();
  }

  /** It has changed since the last commit: `version` does not tell of it yet. */
  isPending(name: string): boolean {
    return this.pending.has(name);
  }

  namesUnder(route: string): Iterable<string> {
    return this.routes.get(route) ?? [];
  }

  provenance(name: string): ObjectKey[] | undefined {
    const held = this.held.get(name);
    return held?.from.provenance(held.key);
  }

  /** Those of the changed objects that led to the resource; undefined where there is none of that name. */
  trace(name: string, trace: Trace): ReadonlySet<ObjectKey> | undefined {
    const held = this.held.get(name);
    return held?.from.trace(held.key, trace);
  }

  changedSince(version: number): ReadonlySet<string> | undefined {
    if (version === this.version) return empty;
    const last = this.steps[this.steps.length - 1];
    if (last !== undefined && version === this.version - 1) return last.names;
    const first = this.steps[0];
    if (first === undefined || version < first.version - 1) return undefined;
    let merged = this.merged.get(version);
    if (merged === undefined) {
      const names = new Set<string>();
      for (const step of this.steps) if (step.version > version) for (const name of step.names) names.add(name);
      this.merged.set(version, (merged = names));
    }
    return merged;
  }

  /** Version of the last step that touched any of the names; of a step that is no longer known, the last that may have. */
  changedAt(names: ReadonlySet<string>): number {
    for (let i = this.steps.length - 1; i >= 0; i--) {
      const step = this.steps[i];
      if (step !== undefined && !names.isDisjointFrom(step.names)) return step.version;
    }
    return (this.steps[0]?.version ?? this.version + 1) - 1;
  }

  /** What the step to the present version touched. */
  get lastStep(): ReadonlySet<string> {
    return this.steps[this.steps.length - 1]?.names ?? empty;
  }

  /** Makes what changed since the last commit a step. */
  commit(): void {
    if (this.pending.size === 0) return;
    this.version++;
    this.steps.push({ version: this.version, names: this.pending });
    if (this.steps.length > maxSteps) this.steps = this.steps.slice(-maxSteps / 2);
    this.pending = new Set();
    this.merged.clear();
  }

  private replace(from: Maker, key: string, now: ResourceList | undefined, before: ResourceList | undefined): void {
    const next = new Set((now ?? noResources).resources.map((r) => r.name));
    for (const resource of (before ?? noResources).resources) if (!next.has(resource.name)) this.unset(resource);
    for (const resource of (now ?? noResources).resources) this.set(resource, from, key);
    for (const name of (before ?? noResources).hidden) if (!(now ?? noResources).hidden.includes(name)) this.hide(name, false);
    for (const name of (now ?? noResources).hidden) this.hide(name, true);
  }

  private set(resource: EncodedResource, from: Held['from'], key: string): void {
    const old = this.held.get(resource.name);
    this.held.set(resource.name, { resource, from, key });
    if (old?.resource.version === resource.version && old.resource.vhds === resource.vhds && old.resource.aliases === resource.aliases)
      return;
    if (this.byRoute && old === undefined) {
      const route = routeOf(resource.name);
      let names = this.routes.get(route);
      if (names === undefined) this.routes.set(route, (names = new Set()));
      names.add(resource.name);
    }
    this.touch(resource.name);
  }

  private unset(resource: EncodedResource): void {
    const held = this.held.get(resource.name);
    if (held === undefined || held.resource.version !== resource.version) return;
    this.held.delete(resource.name);
    if (this.byRoute) {
      const route = routeOf(resource.name);
      const names = this.routes.get(route);
      names?.delete(resource.name);
      if (names?.size === 0) this.routes.delete(route);
    }
    this.touch(resource.name);
  }

  private touch(name: string): void {
    if (this.pending.size === 0) this.touched(this);
    this.pending.add(name);
  }
}

const empty: ReadonlySet<string> = new Set<string>();

/** The route table of a virtual host's resource name: what stands before its first slash. */
export function routeOf(name: string): string {
  const slash = name.indexOf('/');
  return slash < 0 ? name : name.slice(0, slash);
}
