import type { EncodedResource } from '../../wire/resource.ts';
import type { Caller, ClaimedNode, Part, Refusal, ResourceSource, Subscription, Table, TypeUrl } from '../source.ts';

/** A table whose whole history is kept, unless `forget` is called. */
export class FakeTable implements Table {
  version = 0;
  readonly #resources = new Map<string, EncodedResource>();
  readonly #hidden = new Set<string>();
  readonly #pending = new Set<string>();
  /** Version to the names that changed with it. */
  readonly #history = new Map<number, ReadonlySet<string>>();
  #asked = new Map<number, ReadonlySet<string>>();
  #oldest = 0;

  get size(): number {
    return this.#resources.size;
  }

  get(name: string): EncodedResource | undefined {
    return this.#resources.get(name);
  }

  hides(name: string): boolean {
    return this.#hidden.has(name);
  }

  get hiddenSize(): number {
    return this.#hidden.size;
  }

  hiddenNames(): Iterable<string> {
    return this.#hidden;
  }

  names(): IterableIterator<string> {
    return this.#resources.keys();
  }

  *namesUnder(route: string): Iterable<string> {
    for (const name of this.#resources.keys()) if (name.startsWith(`${route}/`)) yield name;
  }

  changedSince(version: number): ReadonlySet<string> | undefined {
    if (version < this.#oldest) return undefined;
    let names = this.#asked.get(version);
    if (names === undefined) {
      const merged = new Set<string>();
      for (let v = version + 1; v <= this.version; v++) for (const name of this.#history.get(v) ?? []) merged.add(name);
      this.#asked.set(version, (names = merged));
    }
    return names;
  }

  /** The table no longer knows what changed before now. */
  forget(): void {
    this.#oldest = this.version;
    this.#asked = new Map();
  }

  put(resource: EncodedResource): void {
    if (this.#resources.get(resource.name)?.version === resource.version) return;
    this.#resources.set(resource.name, resource);
    this.#pending.add(resource.name);
  }

  remove(name: string): void {
    if (this.#resources.delete(name)) this.#pending.add(name);
  }

  hide(name: string, hidden: boolean): void {
    if (this.#hidden.has(name) === hidden) return;
    if (hidden) this.#hidden.add(name);
    else this.#hidden.delete(name);
    this.#pending.add(name);
  }

  /** Whether anything has changed. */
  flush(): boolean {
    if (this.#pending.size === 0) return false;
    this.version++;
    this.#history.set(this.version, new Set(this.#pending));
    this.#asked = new Map();
    this.#pending.clear();
    return true;
  }
}

export class FakePart implements Part {
  readonly id: string;
  readonly tables = new Map<TypeUrl, FakeTable>();

  constructor(id: string) {
    this.id = id;
  }

  table(type: TypeUrl): FakeTable | undefined {
    return this.tables.get(type);
  }

  set(type: TypeUrl, name: string, content: string, more: { vhds?: boolean } = {}): this {
    return this.put(type, { name, version: content, bytes: new TextEncoder().encode(content), ...more });
  }

  put(type: TypeUrl, resource: EncodedResource): this {
    this.#tableFor(type).put(resource);
    return this;
  }

  remove(type: TypeUrl, name: string): this {
    this.#tableFor(type).remove(name);
    return this;
  }

  hide(type: TypeUrl, name: string, hidden = true): this {
    this.#tableFor(type).hide(name, hidden);
    return this;
  }

  #tableFor(type: TypeUrl): FakeTable {
    let table = this.tables.get(type);
    if (table === undefined) this.tables.set(type, (table = new FakeTable()));
    return table;
  }
}

/** Parts that a test sets by hand. Changes become visible with `flush`; between `unsettle` and `flush` nothing may be read. */
export class FakeSource implements ResourceSource {
  settled = true;
  readonly parts = new Map<string, FakePart>();
  readonly #handlers = new Set<(changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>) => void>();
  readonly #subscriptions = new Set<FakeSubscription>();
  readonly #partsFor: (node: ClaimedNode, caller: Caller) => readonly FakePart[] | Refusal;
  #version = 0;
  #opened = 0;

  /** `partsFor` says which parts a node gets; by default all, in order of their creation. */
  constructor(partsFor?: (node: ClaimedNode, caller: Caller) => readonly FakePart[] | Refusal) {
    this.#partsFor = partsFor ?? (() => [...this.parts.values()]);
  }

  get version(): string {
    return `v${this.#version}`;
  }

  get subscriptions(): ReadonlySet<FakeSubscription> {
    return this.#subscriptions;
  }

  part(id: string): FakePart {
    let part = this.parts.get(id);
    if (part === undefined) this.parts.set(id, (part = new FakePart(id)));
    return part;
  }

  unsettle(): void {
    this.settled = false;
  }

  flush(): void {
    const changed = new Map<Part, ReadonlySet<TypeUrl>>();
    for (const part of this.parts.values()) {
      const types = new Set<TypeUrl>();
      for (const [type, table] of part.tables) if (table.flush()) types.add(type);
      if (types.size > 0) changed.set(part, types);
    }
    this.settled = true;
    if (changed.size > 0) this.#version++;
    for (const handler of this.#handlers) handler(changed);
  }

  open(node: ClaimedNode, caller: Caller): FakeSubscription | Refusal {
    const parts = this.#partsFor(node, caller);
    if ('refused' in parts) return parts;
    const subscription = new FakeSubscription(`${node.id}-${++this.#opened}`, node, parts, (closed) => this.#subscriptions.delete(closed));
    this.#subscriptions.add(subscription);
    return subscription;
  }

  onSettled(handler: (changed: ReadonlyMap<Part, ReadonlySet<TypeUrl>>) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }
}

export class FakeSubscription implements Subscription {
  readonly connectionId: string;
  readonly node: ClaimedNode;
  parts: readonly FakePart[];
  closed = false;
  readonly #onClose: (subscription: FakeSubscription) => void;
  #handler: () => void = () => undefined;

  constructor(connectionId: string, node: ClaimedNode, parts: readonly FakePart[], onClose: (subscription: FakeSubscription) => void) {
    this.connectionId = connectionId;
    this.node = node;
    this.parts = parts;
    this.#onClose = onClose;
  }

  changeParts(parts: readonly FakePart[]): void {
    this.parts = parts;
    this.#handler();
  }

  get placed(): boolean {
    return true;
  }

  onPartsChanged(handler: () => void): void {
    this.#handler = handler;
  }

  onFailed(): void {}

  explain(): undefined {
    return undefined;
  }

  close(): void {
    this.closed = true;
    this.#onClose(this);
  }
}
