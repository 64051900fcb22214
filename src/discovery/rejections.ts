/** Resources that proxies have refused, as problems of the objects that they were made from, until the proxy accepts that type again. */
import type { ObjectKey } from '../apis/object.ts';
import type { Problem } from '../apis/problem.ts';
import { shortName } from '../wire/types.ts';
import type { Caller, ClaimedNode, StreamObserver, StreamStatus, TypeUrl } from '../xds/source.ts';

export class NackProblems implements StreamObserver {
  private readonly byStream = new Map<StreamStatus, Map<TypeUrl, readonly Problem[]>>();

  problems(): Problem[] {
    return [...this.byStream.values()].flatMap((types) => [...types.values()].flat());
  }

  rejected(stream: StreamStatus, type: TypeUrl, names: readonly string[], message: string): void {
    const problems = names.flatMap((name) => {
      const objects = stream.subscription.explain(type, name)?.objects ?? [];
      return objects.map((described): Problem => ({
        object: described.replace(/ \(.*\)$/, '') as ObjectKey,
        path: '',
        reason: 'Refused',
        severity: 'error',
        message: `proxy ${stream.subscription.node.id} refused ${shortName(type)} ${name}, made from ${described}: ${message}`,
      }));
    });
    let types = this.byStream.get(stream);
    if (types === undefined) this.byStream.set(stream, (types = new Map()));
    types.set(type, problems);
  }

  acked(stream: StreamStatus, type: TypeUrl): void {
    // What is still held back goes on being a problem.
    if ((stream.types.get(type)?.heldBack.length ?? 0) === 0) this.byStream.get(stream)?.delete(type);
  }

  disconnected(stream: StreamStatus): void {
    this.byStream.delete(stream);
  }

  connected(): void {}
  refused(_node: ClaimedNode | undefined, _caller: Caller): void {}
  sent(): void {}
}
