import { create, toBinary, type DescMessage, type Message, type MessageShape } from '@bufbuild/protobuf';
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

/** A message as the `typed_config` of another, with bytes as from encode. The message must not be changed afterwards. */
export function packAny<S extends DescMessage>(schema: S, message: MessageShape<S>): Any {
  const any = create(AnySchema);
  any.typeUrl = typeUrlOf(schema.typeName);
  any.value = encode(schema, message);
  packed.set(any.value, message);
  return any;
}

/** Messages by their bytes, for as long as those live. */
const packed = new WeakMap<Uint8Array, Message>();

/** The message that packAny was given, so that nobody has to decode it again. Undefined for an Any from elsewhere. */
export function packedMessage(any: Any): Message | undefined {
  return packed.get(any.value);
}
