/**
 * The debug types of istiod, which `istioctl` asks for over ADS: a request is a question, its answer is sent once and nothing follows it. They are
 * answered beside the stream of a proxy, or on a call that asks for nothing else and so is no proxy.
 */
import { deltaResource, sotwResource, type Joined } from '../wire/join.ts';
import { debugConfigDumpType, debugSyncType, debugType, type TypeUrl as KnownTypeUrl } from '../wire/types.ts';
import { ResponseWriter } from './response.ts';
import type { Form } from './encoder.ts';
import type { Caller, TypeUrl } from './source.ts';
import { faultDetails, type EndCode, type Wire } from './stream.ts';

export type ProvenCaller = Caller & { readonly identity: NonNullable<Caller['identity']> };

export interface DebugRequest {
  readonly type: TypeUrl;
  /** For `istio.io/debug` the page with its query, such as `config_dump?proxyID=a.b`; for a dump the proxy. */
  readonly name: string | undefined;
  readonly caller: ProvenCaller;
}

export interface DebugResource {
  readonly name: string;
  readonly typeUrl: TypeUrl;
  readonly bytes: Uint8Array;
}

/** Resources, or why there are none: the caller's call ends with that. */
export type DebugAnswer = { readonly resources: readonly DebugResource[] } | { readonly code: EndCode; readonly refused: string };

/** Who answers. It decides what the caller may see. */
export interface DebugSource {
  answer(request: DebugRequest): Promise<DebugAnswer>;
}

const debugTypes: readonly KnownTypeUrl[] = [debugType, debugSyncType, debugConfigDumpType];

export function isDebugType(type: TypeUrl): boolean {
  return type === debugType || type.startsWith(`${debugType}/`);
}

export interface DebugDeskOptions {
  readonly source: DebugSource;
  /** ControlPlane.identifier of answers: `istioctl` reads a JSON object in it. */
  readonly controlPlane: string;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  readonly onFault: (error: unknown) => void;
  readonly limits?: Partial<DebugLimits>;
}

export interface DebugLimits {
  /** Answers made at once, of all callers. Default 2. */
  readonly maxAnswers: number;
  /** Requests that wait for their turn, of all callers. Default 64. */
  readonly maxWaiting: number;
  /** Characters of a resource name. Default 4096. */
  readonly maxNameLength: number;
  /** Bytes of an answer. Default 128 MiB. */
  readonly maxAnswerBytes: number;
  /** Bytes of answers that are not taken yet, of all callers: a caller may ask on many streams and read none. Default 128 MiB. */
  readonly maxUntakenBytes: number;
  /** How long a call that asks for nothing else may stay without a request, or may take to read its answer. Default 60 s. */
  readonly idleMs: number;
}

const defaultLimits: DebugLimits = {
  maxAnswers: 2,
  maxWaiting: 64,
  maxNameLength: 4096,
  maxAnswerBytes: 128 * 1024 * 1024,
  maxUntakenBytes: 128 * 1024 * 1024,
  idleMs: 60_000,
};

/** Makes the answers to all callers, a few at a time. */
export class DebugDesk {
  readonly limits: DebugLimits;
  readonly options: DebugDeskOptions;
  readonly writers: Readonly<Record<Form, ResponseWriter>>;
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  #untakenBytes = 0;

  constructor(options: DebugDeskOptions) {
    this.options = options;
    this.limits = { ...defaultLimits, ...options.limits };
    this.writers = { delta: new ResponseWriter('delta', options.controlPlane), sotw: new ResponseWriter('sotw', options.controlPlane) };
  }

  /** False when too many wait already. The task must not reject. */
  take(task: () => Promise<void>): boolean {
    if (this.#waiting.length >= this.limits.maxWaiting) return false;
    this.#waiting.push(task);
    this.#next();
    return true;
  }

  /** False when too much is on its way already. What was reserved is to be given back. */
  reserve(bytes: number): boolean {
    if (this.#untakenBytes + bytes > this.limits.maxUntakenBytes) return false;
    this.#untakenBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#untakenBytes -= bytes;
  }

  #next(): void {
    if (this.#running >= this.limits.maxAnswers) return;
    const task = this.#waiting.shift();
    if (task === undefined) return;
    this.#running++;
    void task().finally(() => {
      this.#running--;
      this.#next();
    });
  }
}

/** The debug requests of one call, answered one after the other. */
export class DebugSession {
  readonly #desk: DebugDesk;
  readonly #form: Form;
  readonly #caller: Caller;
  readonly #wire: Wire;
  readonly #expiresAtMs: number;
  #busy = false;
  #atMs: number;
  #answered = 0;
  /** Of the last answer. */
  #untakenBytes = 0;
  #closed = false;
  #whenDone: (() => void) | undefined;

  /** `validForMs`: until what was proven of the caller ends. */
  constructor(desk: DebugDesk, form: Form, caller: Caller, wire: Wire, validForMs: number) {
    this.#desk = desk;
    this.#form = form;
    this.#caller = caller;
    this.#wire = wire;
    this.#atMs = desk.options.now();
    this.#expiresAtMs = this.#atMs + validForMs;
  }

  receive(type: TypeUrl, names: readonly string[]): void {
    const { limits } = this.#desk;
    const { identity, secure } = this.#caller;
    this.#atMs = this.#desk.options.now();
    if (identity === undefined || !secure) {
      this.#wire.end('UNAUTHENTICATED', 'debug types need an identity that is proven over TLS');
    } else if (this.#atMs >= this.#expiresAtMs) {
      this.#wire.end('UNAUTHENTICATED', 'the credentials with which the stream was opened have expired');
    } else if (!(debugTypes as readonly string[]).includes(type)) {
      this.#wire.end('INVALID_ARGUMENT', `the debug types are ${debugTypes.join(', ')}`);
    } else if (names.length > 1 || (names[0]?.length ?? 0) > limits.maxNameLength) {
      this.#wire.end('INVALID_ARGUMENT', `a debug request has one resource name, of at most ${limits.maxNameLength} characters`);
    } else if (this.#busy) {
      this.#wire.end('RESOURCE_EXHAUSTED', 'the last debug request of this stream is not answered yet');
    } else {
      this.#busy = true;
      const request = { type, name: names[0], caller: { ...this.#caller, identity } };
      if (!this.#desk.take(() => this.#answer(request))) this.#wire.end('RESOURCE_EXHAUSTED', 'too many debug requests, try again later');
    }
  }

  /** Called about once a second. `alone`: the call is no proxy's, so that nothing keeps it open but questions. */
  tick(alone: boolean): void {
    const { now } = this.#desk.options;
    const { idleMs } = this.#desk.limits;
    if ((alone || this.#untakenBytes > 0) && now() - this.#atMs > idleMs)
      this.#wire.end('DEADLINE_EXCEEDED', `no debug request, or none of its answer taken, within ${idleMs} ms`);
  }

  /** The call has ended. */
  close(): void {
    this.#closed = true;
    this.#taken();
  }

  /** Calls back when what was asked for has been answered and taken. */
  whenDone(done: () => void): void {
    if (this.#busy) this.#whenDone = done;
    else done();
  }

  async #answer(request: DebugRequest): Promise<void> {
    // Gone while it waited for its turn.
    if (this.#closed) return;
    try {
      const answer = await this.#desk.options.source.answer(request);
      if ('refused' in answer) this.#wire.end(answer.code, answer.refused);
      else this.#send(request.type, answer.resources);
    } catch (error) {
      this.#desk.options.onFault(error);
      this.#wire.end('INTERNAL', faultDetails);
    }
  }

  #send(type: TypeUrl, resources: readonly DebugResource[]): void {
    const { maxAnswerBytes } = this.#desk.limits;
    const nonce = `debug-${++this.#answered}`;
    const frames = resources.map(({ name, typeUrl, bytes }) =>
      this.#form === 'delta' ? deltaResource(name, nonce, typeUrl, bytes) : sotwResource(typeUrl, bytes),
    );
    const message: Joined = this.#desk.writers[this.#form].write(type, nonce, nonce, frames);
    if (message.byteLength > maxAnswerBytes) {
      this.#wire.end('RESOURCE_EXHAUSTED', `the answer has ${message.byteLength} bytes, more than ${maxAnswerBytes}`);
      return;
    }
    // Nobody would give it back.
    if (this.#closed) return;
    if (!this.#desk.reserve(message.byteLength)) {
      this.#wire.end('RESOURCE_EXHAUSTED', 'too many answers to debug requests are not read yet, try again later');
      return;
    }
    this.#untakenBytes = message.byteLength;
    this.#atMs = this.#desk.options.now();
    this.#wire.write(message, () => {
      this.#taken();
      this.#busy = false;
      this.#whenDone?.();
    });
  }

  #taken(): void {
    this.#desk.give(this.#untakenBytes);
    this.#untakenBytes = 0;
  }
}
