/** Resources that proxies have refused, as problems of the object that most likely caused it, until the proxy accepts that type again. */
import { namespaceOf, objectsFor, proxyFor, reasonOf, whereAllOfItIs } from '../apis/disclosure.ts';
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { ProblemIndex, type ProblemSource } from '../apis/problem-index.ts';
import { shortName } from '../wire/types.ts';
import type { Caller, ClaimedNode, StreamObserver, StreamStatus, TypeUrl } from '../xds/source.ts';

export interface NackProblemsOptions {
  /** Of these objects the one that changed last; undefined when none has for a while. */
  readonly changedLast: (objects: readonly ObjectKey[]) => ObjectKey | undefined;
  /** Objects that are blamed, or no longer. */
  readonly onChange?: (objects: Iterable<ObjectKey>) => void;
}

/** Kinds that say how traffic goes, before those that only say where. */
const configuring = /^(VirtualService|DestinationRule|Gateway|EnvoyFilter|WasmPlugin|Sidecar|AuthorizationPolicy|RequestAuthentication)\//;

export class NackProblems implements StreamObserver, ProblemSource {
  private readonly options: NackProblemsOptions;
  private readonly byStream = new Map<StreamStatus, Map<TypeUrl, readonly Problem[]>>();
  private readonly index = new ProblemIndex();

  constructor(options: NackProblemsOptions) {
    this.options = options;
  }

  problems(): Problem[] {
    return [...this.byStream.values()].flatMap((types) => [...types.values()].flat());
  }

  problemsOf(object: ObjectKey): readonly Problem[] {
    return this.index.problemsOf(object);
  }

  rejected(stream: StreamStatus, type: TypeUrl, names: readonly string[], message: string): void {
    const problems = names.flatMap((name) => this.blame(stream, type, name, message));
    let types = this.byStream.get(stream);
    if (types === undefined) this.byStream.set(stream, (types = new Map()));
    const before = types.get(type) ?? [];
    types.set(type, problems);
    this.index.set(placeOf(stream, type), problems);
    this.tell([...before, ...problems]);
  }

  acked(stream: StreamStatus, type: TypeUrl): void {
    // What is still held back goes on being a problem.
    if ((stream.types.get(type)?.heldBack.length ?? 0) > 0) return;
    const types = this.byStream.get(stream);
    const before = types?.get(type);
    if (before === undefined) return;
    types?.delete(type);
    this.index.set(placeOf(stream, type), []);
    this.tell(before);
  }

  disconnected(stream: StreamStatus): void {
    const before = this.byStream.get(stream);
    this.byStream.delete(stream);
    if (before === undefined) return;
    for (const type of before.keys()) this.index.set(placeOf(stream, type), []);
    this.tell([...before.values()].flat());
  }

  connected(): void {}
  refused(_node: ClaimedNode | undefined, _caller: Caller): void {}
  sent(): void {}

  private blame(stream: StreamStatus, type: TypeUrl, name: string, message: string): Problem[] {
    const described = stream.subscription.explain(type, name)?.objects ?? [];
    const objects = described.map((text) => text.replace(/ \(.*\)$/, '') as ObjectKey);
    const recent = this.options.changedLast(objects);
    const choice = objects.filter((object) => configuring.test(object));
    const blamed = recent === undefined ? (choice.length > 0 ? choice : objects) : [recent];
    const likely = blamed.length === 1 && objects.length > 1 ? 'most likely because of this object' : 'made from this object';
    return blamed.map((object): Problem => {
      const others = described.filter((_, i) => objects[i] !== object);
      const also = others.length === 0 ? '' : `; also made from ${listed(others)}`;
      const { id } = stream.subscription.node;
      const what = `refused ${shortName(type)} ${name}, ${likely}`;
      const text = `proxy ${id} ${what}${also}: ${message.slice(0, maxMessage)}`;
      return {
        object,
        path: '',
        reason: 'Refused',
        severity: 'error',
        message: text,
        toReaders: toReaders(object, id, what, others, message),
      };
    });
  }

  private tell(problems: readonly Problem[]): void {
    if (problems.length > 0) this.options.onChange?.(new Set(problems.map(({ object }) => object)));
  }
}

function toReaders(object: ObjectKey, node: string, what: string, others: readonly string[], message: string): string {
  const namespace = namespaceOf(object);
  const proxy = proxyFor(namespace, node);
  const also = others.length === 0 ? '' : `; also made from ${objectsFor(namespace, others, maxOthers)}`;
  return `${proxy === undefined ? 'a proxy of another namespace' : `proxy ${proxy}`} ${what}${also}: ${reasonOf(message)}; ${whereAllOfItIs}`;
}

function placeOf({ subscription }: StreamStatus, type: TypeUrl): string {
  return `${subscription.connectionId} ${type}`;
}

/** Envoy quotes whole messages. */
const maxMessage = 2000;
/** A listener that many hosts share is made from thousands. */
const maxOthers = 5;

function listed(objects: readonly string[]): string {
  const rest = objects.length - maxOthers;
  return `${objects.slice(0, maxOthers).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
