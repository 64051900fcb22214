import { readFileSync } from 'node:fs';
import { createFileRegistry, type DescFile, fromBinary, type Registry } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.js';
import { fullRegistry } from './registry.ts';

const descriptorSet = readFileSync(new URL('../../generated/descriptors.binpb', import.meta.url));
/** Of protobuf-es itself, which parses everything; without the descriptors' own types, of which it carries another edition. */
const whole = [...createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet))].filter(isOfApi);

type Type = ReturnType<Registry['get']>;

function isOfApi({ file }: { readonly file: DescFile }): boolean {
  return file.proto.name !== 'google/protobuf/descriptor.proto';
}

/** Undefined for what is no message. */
function fieldsOf(type: Type): string[] | undefined {
  if (type?.kind !== 'message') return undefined;
  return type.fields.map((field) =>
    [field.number, field.name, field.jsonName, field.fieldKind, field.presence, field.message?.typeName, field.enum?.typeName].join(' '),
  );
}

describe('the registry of all types', () => {
  test('has each type by its name, with the same fields', () => {
    const registry = fullRegistry(descriptorSet);
    for (const type of whole.toReversed()) {
      const found = registry.get(type.typeName);
      expect(found?.toString()).toBe(type.toString());
      expect(fieldsOf(found), type.typeName).toEqual(fieldsOf(type));
    }
  });

  test('lists all', () => {
    const listed = [...fullRegistry(descriptorSet)].filter(isOfApi);
    expect(listed.map((type) => type.typeName).sort()).toEqual(whole.map((type) => type.typeName).sort());
  });

  test("gives the modules' own descriptors, also inside of others", () => {
    const registry = fullRegistry(descriptorSet);
    expect(registry.getMessage(ClusterSchema.typeName)).toBe(ClusterSchema);
    const holder = registry.getMessage('envoy.admin.v3.BootstrapConfigDump');
    expect(holder?.field['bootstrap']?.message).toBe(registry.getMessage('envoy.config.bootstrap.v3.Bootstrap'));
    expect(registry.getMessage('envoy.config.listener.v3.ListenerCollection')?.file).toBe(ListenerSchema.file);
  });

  test('finds a type by its kind alone', () => {
    const registry = fullRegistry(descriptorSet);
    const kinds = (name: string): string[] =>
      (['getMessage', 'getEnum', 'getService', 'getExtension'] as const).filter((get) => registry[get](name) !== undefined);
    expect(kinds('envoy.config.cluster.v3.Cluster')).toEqual(['getMessage']);
    expect(kinds('envoy.config.cluster.v3.Cluster.DiscoveryType')).toEqual(['getEnum']);
    expect(kinds('envoy.service.discovery.v3.AggregatedDiscoveryService')).toEqual(['getService']);
    expect(kinds('validate.rules')).toEqual(['getExtension']);
    for (const nothing of ['envoy.config.cluster.v3.Cluster.Nothing', 'envoy.config.cluster.v3', 'Cluster', '', '.'])
      expect(kinds(nothing)).toEqual([]);
  });

  test('finds extensions by what they extend', () => {
    const all = whole.filter((type) => type.kind === 'extension');
    const found = (registry: Registry): (string | undefined)[] =>
      all.map((type) => registry.getExtensionFor(type.extendee, type.number)?.typeName);
    expect(found(fullRegistry(descriptorSet))).toEqual(all.map((type) => type.typeName));
    expect(fullRegistry(descriptorSet).getExtensionFor(ClusterSchema, 1071)).toBeUndefined();
  });
});
