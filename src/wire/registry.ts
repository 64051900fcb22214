import { createFileRegistry, fromBinary, type FileRegistry } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/**
 * All message types of Envoy's API and our own, by reflection. `descriptorSet`: the bytes of `generated/descriptors.binpb`.
 * Takes about 70 ms. Make one and pass it on: what is compiled for a type is kept by its descriptor.
 */
export function fullRegistry(descriptorSet: Uint8Array): FileRegistry {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
}
