import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { DebugDesk, DebugSession, isDebugType, type DebugAnswer, type DebugLimits, type DebugRequest } from './debug.ts';
import type { Caller } from './source.ts';
import { TestWire } from './testing/harness.ts';

const identity = { spiffeId: 'spiffe://td/ns/a/sa/b', trustDomain: 'td', namespace: 'a', serviceAccount: 'b' };
const proven: Caller = { address: '10.0.0.1:1', secure: true, identity };
const page = 'istio.io/debug';

/** Answers that the test gives when it wants to. */
class Desk {
  nowMs = 0;
  readonly asked: DebugRequest[] = [];
  readonly faults: unknown[] = [];
  readonly #answers: PromiseWithResolvers<DebugAnswer>[] = [];
  readonly desk: DebugDesk;

  constructor(limits: Partial<DebugLimits> = {}) {
    this.desk = new DebugDesk({
      source: {
        answer: (request) => {
          this.asked.push(request);
          const answer = Promise.withResolvers<DebugAnswer>();
          this.#answers.push(answer);
          return answer.promise;
        },
      },
      controlPlane: 'me',
      now: () => this.nowMs,
      onFault: (error) => this.faults.push(error),
      limits,
    });
  }

  open(form: 'delta' | 'sotw' = 'sotw', caller: Caller = proven, validForMs = Infinity): { session: DebugSession; wire: TestWire } {
    const wire = new TestWire();
    return { session: new DebugSession(this.desk, form, caller, wire, validForMs), wire };
  }

  /** Gives the oldest question this answer, and what follows from it time. */
  async answer(answer: DebugAnswer | Error): Promise<void> {
    const oldest = this.#answers.shift();
    if (answer instanceof Error) oldest?.reject(answer);
    else oldest?.resolve(answer);
    await new Promise(setImmediate);
  }
}

const text = (name: string, body: string): DebugAnswer => ({ resources: [{ name, typeUrl: page, bytes: Buffer.from(body) }] });

test('a question gets one answer in the form of its stream', async () => {
  const desk = new Desk();
  const [sotw, delta] = [desk.open(), desk.open('delta')];
  sotw.session.receive(page, ['mesh']);
  delta.session.receive('istio.io/debug/syncz', []);
  expect(desk.asked).toEqual([
    { type: page, name: 'mesh', caller: proven },
    { type: 'istio.io/debug/syncz', name: undefined, caller: proven },
  ]);
  await desk.answer(text('mesh', '{}'));
  await desk.answer({ resources: [] });
  const { $typeName, resources, controlPlane, ...first } = fromBinary(DiscoveryResponseSchema, sotw.wire.written[0] ?? new Uint8Array());
  expect(first).toMatchObject({ typeUrl: page, nonce: 'debug-1' });
  expect([$typeName, controlPlane?.identifier, resources.map((r) => [r.typeUrl, Buffer.from(r.value).toString()])]).toEqual([
    'envoy.service.discovery.v3.DiscoveryResponse',
    'me',
    [[page, '{}']],
  ]);
  const second = fromBinary(DeltaDiscoveryResponseSchema, delta.wire.written[0] ?? new Uint8Array());
  expect(second).toMatchObject({ typeUrl: 'istio.io/debug/syncz', resources: [], removedResources: [] });
  expect([sotw.wire.ended, delta.wire.ended]).toEqual([undefined, undefined]);
});

test.each([
  ['nothing is proven', { address: '', secure: true }, page, ['mesh'], 'UNAUTHENTICATED'],
  ['the transport does not keep secrets', { ...proven, secure: false }, page, ['mesh'], 'UNAUTHENTICATED'],
  ['the type is none', proven, 'istio.io/debug/nosuch', [], 'INVALID_ARGUMENT'],
  ['there are two names', proven, page, ['a', 'b'], 'INVALID_ARGUMENT'],
  ['the name is long', proven, page, ['x'.repeat(4097)], 'INVALID_ARGUMENT'],
])('a request is refused when %s', (_why, caller: Caller, type, names, code) => {
  const desk = new Desk();
  const { session, wire } = desk.open('sotw', caller);
  session.receive(type, names);
  expect([wire.ended?.code, desk.asked]).toEqual([code, []]);
});

test('a refusal and a fault end the stream, and only the log knows of the fault', async () => {
  const desk = new Desk();
  const [refused, failed] = [desk.open(), desk.open()];
  refused.session.receive(page, ['a']);
  failed.session.receive(page, ['b']);
  await desk.answer({ code: 'PERMISSION_DENIED', refused: 'not yours' });
  await desk.answer(new Error('secret detail'));
  expect(refused.wire.ended).toEqual({ code: 'PERMISSION_DENIED', details: 'not yours' });
  expect(failed.wire.ended).toEqual({ code: 'INTERNAL', details: 'a fault of the control plane, see its log' });
  expect(String(desk.faults[0])).toContain('secret detail');
});

test('a stream has one question at a time, all streams together a few, and no queue without end', async () => {
  const desk = new Desk({ maxAnswers: 1, maxWaiting: 1 });
  const [a, b, c] = [desk.open(), desk.open(), desk.open()];
  a.session.receive(page, ['a']);
  b.session.receive(page, ['b']);
  c.session.receive(page, ['c']);
  expect([desk.asked.map((r) => r.name), c.wire.ended?.code]).toEqual([['a'], 'RESOURCE_EXHAUSTED']);
  await desk.answer(text('a', 'A'));
  expect(desk.asked.map((r) => r.name)).toEqual(['a', 'b']);
  a.session.receive(page, ['a2']);
  a.session.receive(page, ['a3']);
  expect(a.wire.ended).toEqual({ code: 'RESOURCE_EXHAUSTED', details: 'the last debug request of this stream is not answered yet' });
});

test('the next question waits until the network has taken the answer', async () => {
  const desk = new Desk();
  const { session, wire } = desk.open();
  wire.slow = true;
  session.receive(page, ['a']);
  await desk.answer(text('a', 'A'));
  let done = false;
  session.whenDone(() => (done = true));
  expect(done).toBe(false);
  wire.flush();
  expect(done).toBe(true);
  session.receive(page, ['b']);
  expect([desk.asked.length, wire.ended]).toEqual([2, undefined]);
});

test('an answer beyond the limit is not sent', async () => {
  const desk = new Desk({ maxAnswerBytes: 100 });
  const { session, wire } = desk.open();
  session.receive(page, ['a']);
  await desk.answer(text('a', 'x'.repeat(200)));
  expect([wire.written, wire.ended?.code]).toEqual([[], 'RESOURCE_EXHAUSTED']);
});

test('answers that nobody reads are bounded over all streams, and end their calls', async () => {
  const desk = new Desk({ maxUntakenBytes: 1_000 });
  const ask = async (): Promise<ReturnType<Desk['open']>> => {
    const opened = desk.open();
    opened.wire.slow = true;
    opened.session.receive(page, ['a']);
    await desk.answer(text('a', 'x'.repeat(600)));
    return opened;
  };
  const [first, second] = [await ask(), await ask()];
  expect([first.wire.written.length, second.wire.written.length, second.wire.ended?.code]).toEqual([1, 0, 'RESOURCE_EXHAUSTED']);
  first.session.close();
  const third = await ask();
  expect(third.wire.written).toHaveLength(1);
  third.wire.flush();
  const last = await ask();
  expect(last.wire.written).toHaveLength(1);
  desk.nowMs = 60_001;
  last.session.tick(false);
  third.session.tick(false);
  expect([last.wire.ended?.code, third.wire.ended]).toEqual(['DEADLINE_EXCEEDED', undefined]);
});

test('a question is not answered to a call that has ended', async () => {
  const desk = new Desk({ maxAnswers: 1 });
  const [a, b] = [desk.open(), desk.open()];
  a.session.receive(page, ['a']);
  b.session.receive(page, ['b']);
  b.session.close();
  a.session.close();
  await desk.answer(text('a', 'A'));
  expect([desk.asked.map((r) => r.name), a.wire.written]).toEqual([['a'], []]);
});

test('a call that asks nothing is ended, and one whose credentials have expired', () => {
  const desk = new Desk();
  const [idle, expired] = [desk.open(), desk.open('sotw', proven, 1000)];
  desk.nowMs = 60_000;
  idle.session.tick(true);
  expect(idle.wire.ended).toBeUndefined();
  expired.session.receive(page, ['mesh']);
  expect([expired.wire.ended?.code, desk.asked]).toEqual(['UNAUTHENTICATED', []]);
  desk.nowMs = 60_001;
  idle.session.tick(true);
  expect(idle.wire.ended?.code).toBe('DEADLINE_EXCEEDED');
});

test('debug types are those under istio.io/debug', () => {
  expect(['istio.io/debug', 'istio.io/debug/x', 'istio.io/debugger', 'type.googleapis.com/istio.io/debug'].map(isDebugType)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
