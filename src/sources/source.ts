/** Where objects come from: what every source (a folder, an API server, a peer) has in common. */
import type { ConfigObject, ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';

/** Everything that was seen together; applied as a whole or not at all. */
export interface ObjectChange {
  /** New objects and new versions; what did not change is not in it. */
  readonly upserts: readonly ConfigObject[];
  readonly deletes: readonly ObjectKey[];
  /** By place: all that each has to say now, which is nothing where its list is empty. A place that is not in it has nothing new to say. */
  readonly problems: ReadonlyMap<string, readonly Problem[]>;
}

export interface ObjectSink {
  apply(change: ObjectChange): void;
}

/** What an API server has of an object, as of the last event, also where nothing has changed that is read. */
export interface Observed {
  readonly apiVersion: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  /** Fingerprint of its conditions that are ours; empty for none. */
  readonly conditions: string;
}

/** Only of objects to which a status or an Event may be written. */
export interface ObservedObjects {
  get(object: ObjectKey): Observed | undefined;
  keys(): Iterable<ObjectKey>;
  /** Called when one comes, has another version or goes; `changed` where more than its status differs. Returns the function that ends it. */
  listen(handler: (object: ObjectKey, changed: boolean) => void): () => void;
}

export interface ObjectSource {
  /** The first full load was given to the sink. Rejects where `run` fails before that. */
  readonly ready: Promise<void>;
  /** What the first full load waits for, for a human; empty once it was given to the sink. */
  waitingFor(): readonly string[];
  /** What the source has to say about itself now, also before the first load. Objects' problems come with the changes. */
  problems(): readonly Problem[];
  /** Absent for a source that is no API server. */
  readonly observed?: ObservedObjects;
  /** Reads and watches until the signal; resolves when everything it holds is closed. */
  run(sink: ObjectSink, signal: AbortSignal): Promise<void>;
}

/** The part of a pino logger that a source uses. */
export interface SourceLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
