import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
  type DeltaDiscoveryRequest,
  type DiscoveryRequest,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js';
import { decodeDeltaRequest, decodeSotwRequest } from './discovery-request.ts';
import { concat, field } from './join.ts';

const utf8 = new TextEncoder();

const deltaBytes = toBinary(
  DeltaDiscoveryRequestSchema,
  create(DeltaDiscoveryRequestSchema, {
    node: { id: 'n', metadata: { NAMESPACE: 'ns' }, locality: { zone: 'z' } },
    typeUrl: 't',
    resourceNamesSubscribe: ['a', '', 'grüße', '\u{1f600}', '\uFFFD', 'x'.repeat(300)],
    resourceNamesUnsubscribe: ['b'],
    initialResourceVersions: { a: '1', ['__proto__']: '2', '': '3', 'outbound|80||a.ns.svc.cluster.local': 'f'.repeat(32) },
    responseNonce: '7',
    errorDetail: { code: 13, message: 'no' },
  }),
);

test('delta: what the generated schema reads', () => {
  expect(decodeDeltaRequest(deltaBytes)).toEqual(ofDelta(fromBinary(DeltaDiscoveryRequestSchema, deltaBytes)));
  expect(decodeDeltaRequest(new Uint8Array())).toEqual(ofDelta(create(DeltaDiscoveryRequestSchema)));
  // A locator, which is not read.
  expect(decodeDeltaRequest(concat(deltaBytes, field(8, Uint8Array.of(0xff))))).toEqual(decodeDeltaRequest(deltaBytes));
});

test('state of the world: what the generated schema reads', () => {
  const message = create(DiscoveryRequestSchema, {
    versionInfo: 'v',
    node: { id: 'n', cluster: 'c' },
    resourceNames: ['a', 'b'],
    typeUrl: 't',
    responseNonce: '1',
    errorDetail: { code: 3, message: 'bad' },
  });
  const bytes = toBinary(DiscoveryRequestSchema, message);
  expect(decodeSotwRequest(bytes)).toEqual(ofSotw(fromBinary(DiscoveryRequestSchema, bytes)));
});

test('a version that is not read must be a text all the same', () => {
  expect(attempt(() => decodeSotwRequest(field(1, Uint8Array.of(0xff))))).toBeUndefined();
});

test('claims are names and versions in turn, also of half an entry', () => {
  const entry = (...fields: readonly Uint8Array[]): Uint8Array => field(5, concat(...fields));
  const [a, b] = [field(1, utf8.encode('a')), field(2, utf8.encode('b'))];
  const bytes = concat(entry(a, b), entry(b, a), entry(a), entry(b), entry(), entry(field(3, utf8.encode('unknown')), a, b));
  expect(decodeDeltaRequest(bytes).initialResourceVersions).toEqual(['a', 'b', 'a', 'b', 'a', '', '', 'b', '', '', 'a', 'b']);
});

test('a node in two pieces is one node', () => {
  const bytes = concat(field(1, field(1, utf8.encode('id'))), field(1, field(2, utf8.encode('cluster'))));
  expect(decodeDeltaRequest(bytes).node).toMatchObject({ id: 'id', cluster: 'cluster' });
});

test.each([
  ['a text that is not UTF-8', field(2, Uint8Array.of(0xff))],
  ['a name that is not UTF-8', field(3, Uint8Array.of(0x61, 0xc3))],
  ['a claim that is not UTF-8', field(5, field(1, Uint8Array.of(0x80)))],
  ['a text that is longer than the message', Uint8Array.of(0x12, 5, 0x61)],
  ['a claim that is longer than the message', Uint8Array.of(0x2a, 0x7f, 0x0a, 1, 0x61)],
  ['a node that is none', field(1, Uint8Array.of(0x0a, 9))],
  ['a type URL that is a number', Uint8Array.of(0x10, 1)],
  ['claims that are numbers', Uint8Array.of(0x28, 1)],
  ['a length without an end', Uint8Array.of(0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ['a field of number 0', Uint8Array.of(0x02, 0)],
  ['the end of a group that never began', Uint8Array.of(0x54)],
])('%s is refused', (_what, bytes) => {
  expect(attempt(() => decodeDeltaRequest(bytes))).toBeUndefined();
  expect(attempt(() => fromBinary(DeltaDiscoveryRequestSchema, bytes))).toBeUndefined();
});

test('whatever is cut off or changed is read as by the generated schema, or refused', () => {
  let read = 0;
  for (let i = 0; i < deltaBytes.length; i++) {
    for (const bytes of [
      deltaBytes.slice(0, i),
      changed(deltaBytes, i, 0x01),
      changed(deltaBytes, i, 0x80),
      changed(deltaBytes, i, 0x08),
    ]) {
      const mine = attempt(() => decodeDeltaRequest(bytes));
      const theirs = attempt(() => ofDelta(fromBinary(DeltaDiscoveryRequestSchema, bytes, { readUnknownFields: false })));
      if (mine === undefined) continue;
      // Where it reads, both do.
      read++;
      expect(mine, `${i}: ${Buffer.from(bytes).toString('hex')}`).toEqual(theirs);
    }
  }
  expect(read).toBeGreaterThan(deltaBytes.length);
});

function changed(bytes: Uint8Array, at: number, bits: number): Uint8Array {
  return bytes.map((byte, i) => (i === at ? byte ^ bits : byte));
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function ofDelta(message: DeltaDiscoveryRequest): unknown {
  const { node, typeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions, responseNonce, errorDetail } = message;
  const claims = Object.entries(initialResourceVersions).flat();
  const rest = { typeUrl, resourceNamesSubscribe, resourceNamesUnsubscribe, initialResourceVersions: claims, responseNonce };
  return { node, errorDetail, ...rest };
}

function ofSotw({ node, typeUrl, resourceNames, responseNonce, errorDetail }: DiscoveryRequest): unknown {
  return { node, typeUrl, resourceNames, responseNonce, errorDetail };
}
