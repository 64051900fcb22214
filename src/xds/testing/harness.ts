import { fromBinary } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import type { Joined } from '../../wire/join.ts';
import { shortName, typeOfShortName } from '../../wire/types.ts';
import { Hub, type HubOptions } from '../hub.ts';
import { FakeSource } from './fake-source.ts';
import type { DeltaRequest, DeltaStream } from '../delta-stream.ts';
import type { SotwStream } from '../sotw-stream.ts';
import type { EndCode, Wire } from '../stream.ts';
import type { Caller, ClaimedNode, StreamObserver, StreamStatus, TypeUrl } from '../source.ts';

export const node: ClaimedNode = {
  id: 'sidecar~10.0.0.1~a.ns~ns.svc.cluster.local',
  cluster: 'a',
  metadata: {},
  userAgentName: 'envoy',
  userAgentVersion: '1.40.0',
};

export function typeOf(short: string): TypeUrl {
  const type = typeOfShortName(short);
  if (type === undefined) throw new Error(`no type ${short}`);
  return type;
}

/** A transport that keeps what is written; the network takes it at once unless it is `slow`. */
export class TestWire implements Wire {
  readonly written: Uint8Array[] = [];
  ended: { code: EndCode; details: string } | undefined;
  slow = false;
  readonly #unflushed: (() => void)[] = [];
  onWrite: (message: Uint8Array) => void = () => undefined;

  write(message: Joined, flushed: () => void): void {
    const bytes = message.toBytes();
    this.written.push(bytes);
    this.#unflushed.push(flushed);
    this.onWrite(bytes);
    if (!this.slow) this.flush();
  }

  end(code: EndCode, details: string): void {
    this.ended = { code, details };
  }

  flush(): void {
    for (const flushed of this.#unflushed.splice(0)) flushed();
  }
}

export class TestObserver implements StreamObserver {
  readonly events: string[] = [];

  connected(stream: StreamStatus): void {
    this.events.push(`connected ${stream.subscription.connectionId}`);
  }
  disconnected(stream: StreamStatus, reason: string): void {
    this.events.push(`disconnected ${stream.subscription.connectionId} ${reason}`);
  }
  refused(_node: ClaimedNode | undefined, _caller: unknown, reason: string): void {
    this.events.push(`refused ${reason}`);
  }
  sent(): void {}
  acked(_stream: StreamStatus, type: TypeUrl, nonce: string): void {
    this.events.push(`acked ${shortName(type)} ${nonce}`);
  }
  rejected(_stream: StreamStatus, type: TypeUrl, names: readonly string[], message: string): void {
    this.events.push(`rejected ${shortName(type)} ${names.join(',')} ${message}`);
  }
}

/** A hub over a FakeSource with a clock and an event loop that the test turns. */
export class World {
  nowMs = 1_000_000;
  readonly source: FakeSource;
  readonly observer = new TestObserver();
  readonly hub: Hub;
  readonly #tasks: (() => void)[] = [];

  constructor(source: FakeSource = new FakeSource(), options: Partial<HubOptions> = {}) {
    this.source = source;
    this.hub = new Hub({
      source: this.source,
      observer: this.observer,
      now: () => this.nowMs,
      later: (task) => this.#tasks.push(task),
      ...options,
    });
  }

  /** Runs what was put off until nothing is left. */
  turn(): void {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) task();
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.hub.tick();
    this.turn();
  }

  flush(): void {
    this.source.flush();
    this.turn();
  }

  delta(who: ClaimedNode = node, caller: Caller = { address: '10.0.0.1', secure: false }): DeltaClient {
    const wire = new TestWire();
    const stream = this.hub.openDelta(who, caller, wire);
    if ('refused' in stream) throw new Error(stream.refused);
    return new DeltaClient(this, stream, wire);
  }

  sotw(who: ClaimedNode = node): SotwClient {
    const wire = new TestWire();
    const stream = this.hub.openSotw(who, { address: '10.0.0.1', secure: false }, wire);
    if ('refused' in stream) throw new Error(stream.refused);
    return new SotwClient(this, stream, wire);
  }
}

interface Subscribe {
  readonly sub?: readonly string[];
  readonly unsub?: readonly string[];
  readonly claims?: Readonly<Record<string, string>>;
  readonly nonce?: string;
  readonly error?: string;
}

/** Sends literal requests and shows responses as `CDS a@1 b@2 -gone`. */
export class DeltaClient {
  readonly stream: DeltaStream;
  readonly wire: TestWire;
  readonly #world: World;
  #shown = 0;
  #lastNonce = new Map<string, string>();

  constructor(world: World, stream: DeltaStream, wire: TestWire) {
    this.#world = world;
    this.stream = stream;
    this.wire = wire;
  }

  send(type: string, { sub = [], unsub = [], claims = {}, nonce = '', error }: Subscribe = {}): void {
    const request: DeltaRequest = {
      typeUrl: typeOf(type),
      resourceNamesSubscribe: sub,
      resourceNamesUnsubscribe: unsub,
      initialResourceVersions: Object.entries(claims).flat(),
      responseNonce: nonce,
      ...(error !== undefined && { errorDetail: { message: error } }),
    };
    this.stream.receive(request);
    this.#world.turn();
  }

  /** Answers the newest response of the type; call after `got`. */
  ack(type: string): void {
    this.send(type, { nonce: this.#lastNonce.get(type) ?? '' });
  }

  nack(type: string, error: string): void {
    this.send(type, { nonce: this.#lastNonce.get(type) ?? '', error });
  }

  /** Responses since the last call. Marks of versions are shown as `~`. */
  got(): string[] {
    const lines: string[] = [];
    for (; this.#shown < this.wire.written.length; this.#shown++) {
      const response = fromBinary(DeltaDiscoveryResponseSchema, this.wire.written[this.#shown] ?? new Uint8Array());
      const type = shortName(response.typeUrl);
      this.#lastNonce.set(type, response.nonce);
      const resources = response.resources.map((r) => `${r.name}@${r.version.replace(/~.*/, '~')}`);
      lines.push([type, ...resources, ...response.removedResources.map((name) => `-${name}`)].join(' '));
    }
    return lines;
  }

  /** Acknowledges everything that comes, until nothing does, and shows it. */
  settle(): string[] {
    const lines: string[] = [];
    for (let got = this.got(); got.length > 0; got = this.got()) {
      lines.push(...got);
      for (const type of new Set(got.map((line) => line.slice(0, line.indexOf(' ') < 0 ? undefined : line.indexOf(' '))))) this.ack(type);
    }
    return lines;
  }
}

/** Sends literal requests and shows responses as `LDS content|content`. */
export class SotwClient {
  readonly stream: SotwStream;
  readonly wire: TestWire;
  readonly #world: World;
  readonly #names = new Map<string, readonly string[]>();
  readonly #nonces = new Map<string, string>();
  #shown = 0;

  constructor(world: World, stream: SotwStream, wire: TestWire) {
    this.#world = world;
    this.stream = stream;
    this.wire = wire;
  }

  nonceOf(type: string): string {
    return this.#nonces.get(type) ?? '';
  }

  send(type: string, names: readonly string[] = [], nonce = '', error?: string): void {
    this.#names.set(type, names);
    this.stream.receive({
      typeUrl: typeOf(type),
      resourceNames: names,
      responseNonce: nonce,
      ...(error !== undefined && { errorDetail: { message: error } }),
    });
    this.#world.turn();
  }

  ack(type: string): void {
    this.send(type, this.#names.get(type) ?? [], this.nonceOf(type));
  }

  got(): string[] {
    const lines: string[] = [];
    for (; this.#shown < this.wire.written.length; this.#shown++) {
      const response = fromBinary(DiscoveryResponseSchema, this.wire.written[this.#shown] ?? new Uint8Array());
      const type = shortName(response.typeUrl);
      this.#nonces.set(type, response.nonce);
      lines.push(`${type} ${response.resources.map(({ value }) => new TextDecoder().decode(value)).join('|')}`);
    }
    return lines;
  }

  settle(): string[] {
    const lines: string[] = [];
    for (let got = this.got(); got.length > 0; got = this.got()) {
      lines.push(...got);
      for (const type of new Set(got.map((line) => line.slice(0, line.indexOf(' '))))) this.ack(type);
    }
    return lines;
  }
}
