/** The replicas of one control plane, as each of them says of itself. */

export interface Replica {
  readonly name: string;
  /** Of mizzen. */
  readonly version: string;
  /** RFC 3339. */
  readonly startedAt: string;
  /** `address:port` where the others reach its monitoring port; empty where it is not known. */
  readonly monitoringAddress: string;
  /** It takes streams: everything was read and translated once, and it is not stopping. */
  readonly ready: boolean;
  /** Connected proxies. */
  readonly streams: number;
  /** Its record is renewed. One that is killed stays in the list without this until the leader deletes its record. */
  readonly live: boolean;
  /** What it has published, by key. */
  readonly data: Readonly<Record<string, string>>;
}

/** What a replica says of itself beyond what it publishes. */
export type ReplicaState = Pick<Replica, 'version' | 'startedAt' | 'monitoringAddress' | 'ready' | 'streams'>;

export interface Replicas {
  /** Name of this one. */
  readonly self: string;
  /**
   * The list is what the cluster says now: this replica's own renewals come back to it. While it is false, `list` tells the last that was known, and
   * nothing may be concluded from who is missing.
   */
  readonly current: boolean;
  /**
   * For the others to read, within about a second; undefined takes it back. A key is of lower-case letters, digits and dashes, at most 40; a value has at
   * most 16 KiB. Throws for others.
   */
  publish(key: string, value: string | undefined): void;
  /** Sorted by name, this one included. */
  list(): readonly Replica[];
  /** Called when `list` or `current` would answer differently. Returns the function that ends it. */
  onChange(handler: () => void): () => void;
}

export const maxValueBytes = 16 * 1024;

export function checkPublished(key: string, value: string | undefined): void {
  if (!/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(key)) throw new Error(`"${key}" is no key that a replica can publish`);
  if (value !== undefined && Buffer.byteLength(value) > maxValueBytes) {
    throw new Error(`the value of ${key} has ${Buffer.byteLength(value)} bytes, at most ${maxValueBytes} are published`);
  }
}

/** Without a cluster there is one replica. */
export class SingleReplica implements Replicas {
  readonly self: string;
  readonly current = true;
  readonly #state: () => ReplicaState;
  readonly #data = new Map<string, string>();
  readonly #handlers = new Set<() => void>();

  constructor(self: string, state: () => ReplicaState) {
    this.self = self;
    this.#state = state;
  }

  publish(key: string, value: string | undefined): void {
    checkPublished(key, value);
    if (this.#data.get(key) === value) return;
    if (value === undefined) this.#data.delete(key);
    else this.#data.set(key, value);
    for (const handler of this.#handlers) handler();
  }

  list(): readonly Replica[] {
    return [{ ...this.#state(), name: this.self, live: true, data: Object.fromEntries(this.#data) }];
  }

  onChange(handler: () => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }
}
