/** Secrets of each proven identity as a part: its own certificate and the roots, renewed under the streams that hold it. */
import type { WorkloadCertificates } from '../ca/workload.ts';
import { SnapshotPart, type Touched } from '../snapshot/part.ts';
import { secretType } from '../wire/types.ts';
import type { Caller } from '../xds/source.ts';

interface Held {
  readonly part: SnapshotPart;
  readonly stop: () => void;
  users: number;
}

export class IdentityParts {
  private readonly certificates: WorkloadCertificates;
  private readonly touched: Touched;
  private readonly changed: () => void;
  private readonly held = new Map<string, Held>();

  /** `changed` is called when a part was touched outside of a change of objects. */
  constructor(certificates: WorkloadCertificates, touched: Touched, changed: () => void) {
    this.certificates = certificates;
    this.touched = touched;
    this.changed = changed;
  }

  /** The caller's part for the life of one stream; undefined where the transport is not secret or proves nothing. */
  acquire(caller: Caller): { readonly part: SnapshotPart; release(): void } | undefined {
    const identity = caller.identity;
    if (!caller.secure || identity === undefined) return undefined;
    const key = identity.spiffeId;
    let held = this.held.get(key);
    if (held === undefined) this.held.set(key, (held = this.create(identity)));
    held.users++;
    const mine = held;
    let released = false;
    return {
      part: held.part,
      release: () => {
        if (released) return;
        released = true;
        if (--mine.users > 0) return;
        mine.stop();
        this.held.delete(key);
      },
    };
  }

  /** The part of an identity that some stream holds. */
  partOf(spiffeId: string): SnapshotPart | undefined {
    return this.held.get(spiffeId)?.part;
  }

  private create(identity: NonNullable<Caller['identity']>): Held {
    const part = new SnapshotPart(`identity ${identity.spiffeId}`, this.touched);
    const table = part.ensure(secretType);
    const own = (): void => {
      const secret = handle.secret();
      if (secret !== undefined) table.put(secret, []);
    };
    const roots = (): void => table.put(this.certificates.roots(), []);
    const handle = this.certificates.acquire(identity, () => {
      own();
      this.changed();
    });
    const stopRoots = this.certificates.onRootsChange(() => {
      roots();
      this.changed();
    });
    own();
    roots();
    return {
      part,
      users: 0,
      stop: () => {
        stopRoots();
        handle.release();
        part.dispose();
      },
    };
  }
}
