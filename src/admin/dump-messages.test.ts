import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { readRegistry } from '../discovery/descriptors.ts';
import { encode } from '../wire/encode.ts';
import { bytesToJson } from '../wire/json.ts';
import { field, stringField } from '../wire/join.ts';
import { clusterType, listenerType, routeType, secretType, virtualHostType } from '../wire/types.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { fixedPart } from './testing/part.ts';
import { configDump, configDumpInTurns } from './dump.ts';
import { dumpMessages } from './dump-messages.ts';

const registry = readRegistry();
const explain = (): undefined => undefined;

/** A message with a name alone; of a virtual host and a table its domains. */
const named = (name: string, more: Partial<EncodedResource> = {}): EncodedResource => ({
  name,
  version: `v-${name}`,
  bytes: stringField(1, name),
  ...more,
});
const host = (name: string): EncodedResource => ({ name, version: 'v', bytes: stringField(2, `${name}.example`) });

const secret = create(SecretSchema, {
  name: 'default',
  type: {
    case: 'tlsCertificate',
    value: {
      certificateChain: { specifier: { case: 'inlineString', value: 'CHAIN' } },
      privateKey: { specifier: { case: 'inlineString', value: 'KEY' } },
    },
  },
});
const routeWithHost = encode(
  RouteConfigurationSchema,
  create(RouteConfigurationSchema, { name: '80', virtualHosts: [{ name: 'any', domains: ['*'] }] }),
);
const parts = [
  fixedPart({
    [clusterType]: [named('b'), named('a')],
    [listenerType]: [named('l')],
    [routeType]: [named('80', { bytes: routeWithHost, vhds: true }), named('inner')],
    [virtualHostType]: [host('80/z'), host('80/b')],
    [secretType]: [named('default', { bytes: toBinary(SecretSchema, secret) })],
  }),
];

test.each([true, false])('the messages are the dump in JSON, with virtual hosts one by one (%s) or not', (vhds) => {
  const messages = dumpMessages({ parts, explain }, { vhds });
  const asJson = messages.map(({ typeUrl, value }) => ({ '@type': typeUrl, ...(bytesToJson(typeUrl, value, registry) as object) }));
  const { configs } = configDump({ parts, explain }, { registry, vhds });
  const sorted = JSON.stringify(configs, (_key, value: unknown) =>
    Array.isArray(value) && !vhds ? [...(value as unknown[])].sort(byText) : value,
  );
  const other = JSON.stringify(asJson, (_key, value: unknown) =>
    Array.isArray(value) && !vhds ? [...(value as unknown[])].sort(byText) : value,
  );
  expect(JSON.parse(other)).toEqual(JSON.parse(sorted));
});

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

test('a route table has its own virtual hosts first, as Envoy has it, and no dump has a private key', () => {
  const text = JSON.stringify(configDump({ parts, explain }, { registry, vhds: true }));
  expect([...text.matchAll(/"name":"(any|80\/\w)"/g)].map(([, name]) => name)).toEqual(['any', '80/b', '80/z']);
  const all = Buffer.concat(dumpMessages({ parts, explain }, { vhds: true }).map(({ value }) => value)).toString('latin1');
  expect([all.includes('CHAIN'), all.includes('KEY'), all.includes('[redacted]')]).toEqual([true, false, true]);
});

test('in turns it is the same, of what was there at its start', async () => {
  const many = Array.from({ length: 50 }, (_, i) => named(`c${i}`));
  const changing: EncodedResource[] = [...many];
  const subject = { parts: [fixedPart({ [clusterType]: changing })], explain };
  const before = configDump(subject, { registry });
  let nowMs = 0;
  let pauses = 0;
  const dump = configDumpInTurns(
    subject,
    { registry },
    {
      now: () => (nowMs += 5),
      pause: () => {
        pauses++;
        changing.length = 0;
        return Promise.resolve();
      },
    },
  );
  expect(await dump).toEqual(before);
  expect(pauses).toBeGreaterThan(10);
});

test('resources of asked types stand as they are', () => {
  const names = fixedPart({
    'type.googleapis.com/istio.networking.nds.v1.NameTable': [{ name: 'a', version: '', bytes: field(1, stringField(1, 'a')) }],
  });
  const types = ['type.googleapis.com/istio.networking.nds.v1.NameTable', clusterType];
  expect(configDump({ parts: [...parts, names], explain }, { registry, types })).toEqual({
    configs: [
      { '@type': types[0], table: { a: {} } },
      { '@type': clusterType, name: 'a' },
      { '@type': clusterType, name: 'b' },
    ],
  });
  expect(configDump({ parts, explain }, { registry, types: [types[0] ?? ''] })).toEqual({ configs: [] });
});
