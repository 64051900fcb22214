/**
 * Stands in for protobuf-es' own fileDesc in the generated modules. That one copies all types of all files below into a new
 * registry for each file, which grows with the square of their number: 200 modules take 400 ms and 40 MB more to import.
 * Only the files imported directly, and what those import publicly, can be named in a file, so that they are enough to resolve it: 190 ms.
 */
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { protoCamelCase } from '@bufbuild/protobuf/reflect';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

/** Each file as if it imported nothing. */
const alone = new Map();
/** What is there already, the generated modules' files above all, by name. */
const files = new Map();

export function fileDesc(base64, imports = []) {
  const proto = fromBinary(FileDescriptorProtoSchema, base64Decode(base64));
  proto.messageType.forEach(restoreJsonNames);
  for (const file of imports) if (!files.has(file.proto.name)) files.set(file.proto.name, file);
  return resolveFile(proto, imports);
}

/** The descriptors of a file, with those of its imports, the very same as the modules'. */
export function resolveFile(proto, imports) {
  const visible = imports.flatMap(withPublicImports);
  proto.dependency = visible.map((file) => file.proto.name);
  const direct = new Map(visible.map((file) => [file.proto.name, withoutImports(file)]));
  const file = createFileRegistry(proto, (name) => direct.get(name)).getFile(proto.name);
  file.dependencies = imports;
  files.set(proto.name, file);
  return file;
}

/** A file of this name that a module has brought, or resolveFile has made. */
export function knownFile(name) {
  return files.get(name);
}

/** A file's public imports can be named where it is imported. */
function withPublicImports(file) {
  return [file, ...file.proto.publicDependency.flatMap((index) => withPublicImports(file.dependencies[index]))];
}

function withoutImports(file) {
  let copy = alone.get(file);
  if (copy === undefined) {
    copy = Object.assign(Object.create(Object.getPrototypeOf(file)), file, { dependencies: [] });
    alone.set(file, copy);
  }
  return copy;
}

/** The generator leaves out names that follow from the field's. */
function restoreJsonNames(message) {
  for (const field of message.field) if (field.jsonName === '') field.jsonName = protoCamelCase(field.name);
  message.nestedType.forEach(restoreJsonNames);
}
