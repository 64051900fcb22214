import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** What a file of descriptors declares, without parsing it: a millisecond for all of Envoy's API, where parsing takes 70 and 10 MB. */
export interface FileOutline {
  readonly name: string;
  /** Full names of its messages, enumerations and services, not of those nested in messages. */
  readonly types: readonly string[];
  readonly extensions: readonly string[];
  /** Of the FileDescriptorProto, a view of the set's. */
  readonly bytes: Uint8Array;
}

/** Field numbers of google/protobuf/descriptor.proto. */
const setFile = 1;
const fileField = { name: 1, package: 2, messageType: 4, enumType: 5, service: 6, extension: 7 };
/** The same in DescriptorProto, EnumDescriptorProto, ServiceDescriptorProto and FieldDescriptorProto. */
const nameField = 1;

/** `descriptorSet`: an encoded FileDescriptorSet. */
export function outlineFiles(descriptorSet: Uint8Array): FileOutline[] {
  const files: FileOutline[] = [];
  eachBytes(descriptorSet, (field, bytes) => {
    if (field === setFile) files.push(outline(bytes));
  });
  return files;
}

function outline(bytes: Uint8Array): FileOutline {
  let name = '';
  let scope = '';
  const types: string[] = [];
  const extensions: string[] = [];
  eachBytes(bytes, (field, value) => {
    if (field === fileField.name) name = text(value);
    else if (field === fileField.package) scope = `${text(value)}.`;
    else if (field === fileField.extension) extensions.push(nameOf(value));
    else if (field === fileField.messageType || field === fileField.enumType || field === fileField.service) types.push(nameOf(value));
  });
  const inScope = (own: string): string => scope + own;
  return { name, types: types.map(inScope), extensions: extensions.map(inScope), bytes };
}

function nameOf(descriptor: Uint8Array): string {
  let name = '';
  eachBytes(descriptor, (field, value) => {
    if (field === nameField) name = text(value);
  });
  return name;
}

/** Fields that are messages, strings or bytes, as views. */
function eachBytes(message: Uint8Array, visit: (field: number, bytes: Uint8Array) => void): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) visit(field, reader.bytes());
    else reader.skip(wireType, field);
  }
}

const decoder = new TextDecoder();

function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
