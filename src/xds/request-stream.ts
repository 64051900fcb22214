import { Stream } from './stream.ts';

/** Types that one stream may subscribe to. */
export const maxTypes = 32;

interface Waiting<Request> {
  readonly request: Request;
  readonly accepted: () => void;
}

/** A stream whose requests wait until the parts may be read. */
export abstract class RequestStream<Request extends { readonly typeUrl: string }> extends Stream {
  /** Whoever gives requests that come from a network gives the next one when this one is accepted, which bounds them: see request-queue.ts. */
  readonly #waiting: Waiting<Request>[] = [];

  /** `accepted` is called when the request has been taken in and before anything is answered; never if the stream ends before. */
  receive(request: Request, accepted: () => void = nothing): void {
    if (this.closed) return;
    if (request.typeUrl === '') {
      this.end('INVALID_ARGUMENT', 'a discovery request needs a type_url');
      return;
    }
    this.#waiting.push({ request, accepted });
    this.pump();
  }

  protected abstract accept(request: Request): void;

  protected override settled(): void {
    while (!this.closed) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.accept(next.request);
      next.accepted();
    }
  }
}

function nothing(): void {}
