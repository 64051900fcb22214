import { Stream } from './stream.ts';

/** Types that one stream may subscribe to. */
export const maxTypes = 32;
/** Requests that one stream may send while a change is being translated. */
const maxWaitingRequests = 1000;

/** A stream whose requests wait until the parts may be read. */
export abstract class RequestStream<Request extends { readonly typeUrl: string }> extends Stream {
  readonly #waiting: Request[] = [];

  receive(request: Request): void {
    if (this.closed) return;
    if (request.typeUrl === '') {
      this.end('INVALID_ARGUMENT', 'a discovery request needs a type_url');
      return;
    }
    if (this.#waiting.push(request) > maxWaitingRequests) {
      this.end('RESOURCE_EXHAUSTED', `more than ${maxWaitingRequests} requests are waiting`);
      return;
    }
    this.pump();
  }

  protected abstract accept(request: Request): void;

  protected override settled(): void {
    while (!this.closed) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.accept(request);
    }
  }
}
