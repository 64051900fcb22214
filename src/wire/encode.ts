import { create, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { AnySchema, type Any } from '@bufbuild/protobuf/wkt';
import { sortMaps } from './maps.ts';
import { typeUrlOf } from './types.ts';

/**
 * The bytes of a message. Equal messages give equal bytes: fields in order of their numbers, map entries in order of
 * their keys, whatever the order in which they were added.
 */
export function encode<S extends DescMessage>(schema: S, message: MessageShape<S>): Uint8Array<ArrayBuffer> {
  return toBinary(schema, sortMaps(schema, message));
}

/** A message as the `typed_config` of another, with bytes as from encode. */
export function packAny<S extends DescMessage>(schema: S, message: MessageShape<S>): Any {
  const any = create(AnySchema);
  any.typeUrl = typeUrlOf(schema.typeName);
  any.value = encode(schema, message);
  return any;
}
