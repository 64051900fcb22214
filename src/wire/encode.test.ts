import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { MetadataSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import { LbEndpointSchema } from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { RouteSchema, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.js';
import { NameTableSchema } from '#gen/istio/networking/nds/v1/nds_pb.js';
import { encode, packAny } from './encode.ts';
import { hash } from './hash.ts';
import { sortMaps } from './maps.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('a map gives the same bytes whatever the order of insertion', () => {
  const one = create(NameTableSchema, { table: { 'b.c': { ips: ['1'] }, 'a.c': { ips: ['2'] } } });
  const two = create(NameTableSchema, { table: { 'a.c': { ips: ['2'] }, 'b.c': { ips: ['1'] } } });
  expect(hex(toBinary(NameTableSchema, one))).not.toBe(hex(toBinary(NameTableSchema, two)));
  // table { key: "a.c" value { ips: "2" } } table { key: "b.c" value { ips: "1" } }
  const expected = ['0a0a', '0a03612e63', '12030a0132', '0a0a', '0a03622e63', '12030a0131'].join('');
  expect(hex(encode(NameTableSchema, one))).toBe(expected);
  expect(hex(encode(NameTableSchema, two))).toBe(expected);
});

test('maps below lists, oneofs and Structs are sorted too, and the message itself is left alone', () => {
  const build = (reversed: boolean): ReturnType<typeof create<typeof VirtualHostSchema>> => {
    const order = <T>(fields: Record<string, T>): Record<string, T> =>
      reversed ? Object.fromEntries(Object.entries(fields).reverse()) : fields;
    const any = packAny(RouterSchema, create(RouterSchema));
    const metadata = order({
      'envoy.lb': order({ version: 'v1', zone: { deep: order({ b: 1, a: [order({ y: 1, x: 2 })] }) } }),
      istio: {},
    });
    const action = { case: 'route', value: { metadataMatch: { filterMetadata: metadata } } } as const;
    return create(VirtualHostSchema, { routes: [{ typedPerFilterConfig: order({ one: any, two: any }), action }] });
  };
  const [forward, backward] = [build(false), build(true)];
  expect(hex(toBinary(VirtualHostSchema, forward))).not.toBe(hex(toBinary(VirtualHostSchema, backward)));
  expect(hex(encode(VirtualHostSchema, forward))).toBe(hex(encode(VirtualHostSchema, backward)));
  expect(Object.keys(backward.routes[0]?.typedPerFilterConfig ?? {})).toEqual(['two', 'one']);
  expect(fromBinary(VirtualHostSchema, encode(VirtualHostSchema, backward))).toEqual(forward);
});

test('a message whose maps are in order is not copied', () => {
  const metadata = create(MetadataSchema, { filterMetadata: { a: { x: 1, y: 2 }, b: {} } });
  expect(sortMaps(MetadataSchema, metadata)).toBe(metadata);
  const route = create(RouteSchema, { metadata });
  expect(sortMaps(RouteSchema, route)).toBe(route);
});

test('numeric keys and __proto__ are kept', () => {
  const fields = JSON.parse('{"b": 1, "10": 2, "9": 3, "__proto__": 4}') as Record<string, number>;
  const metadata = create(MetadataSchema, { filterMetadata: { x: fields } });
  const decoded = fromBinary(MetadataSchema, encode(MetadataSchema, metadata)).filterMetadata['x'];
  expect(JSON.stringify(decoded)).toBe('{"9":3,"10":2,"__proto__":4,"b":1}');
});

test('a packed message has its type URL and its bytes', () => {
  const endpoint = create(LbEndpointSchema, { hostIdentifier: { case: 'endpointName', value: 'x' } });
  const any = packAny(LbEndpointSchema, endpoint);
  expect(any.typeUrl).toBe('type.googleapis.com/envoy.config.endpoint.v3.LbEndpoint');
  expect(hex(any.value)).toBe('2a0178');
});

test('versions are XXH3 of the joined bytes', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  expect(hash()).toBe('99aa06d3014798d86001c324468d497f');
  expect(hash(bytes('ab'), bytes('c'))).toBe('06b05ab6733a618578af5f94892f3950');
  expect(hash(bytes('abc'))).toBe('06b05ab6733a618578af5f94892f3950');
  expect(hash(bytes('abd'))).not.toBe(hash(bytes('abc')));
});
