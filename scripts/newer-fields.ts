/**
 * Fields of Envoy 1.40 that the pinned wheel of descriptors does not have yet, as the binary's own descriptors give them.
 * An entry that the wheel has caught up with is an error, so that the list shrinks with each update.
 */
import { create } from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
} from '@bufbuild/protobuf/wkt';

interface NewerField {
  readonly file: string;
  readonly message: string;
  readonly name: string;
  readonly jsonName: string;
  readonly number: number;
  readonly type: FieldDescriptorProto_Type;
}

const newerFields: readonly NewerField[] = [
  {
    file: 'envoy/extensions/http/injected_credentials/generic/v3/generic.proto',
    message: 'Generic',
    name: 'header_value_prefix',
    jsonName: 'headerValuePrefix',
    number: 3,
    type: FieldDescriptorProto_Type.STRING,
  },
];

export function addNewerFields(file: FileDescriptorProto): void {
  for (const { message: messageName, name, jsonName, number, type } of newerFields.filter((f) => f.file === file.name)) {
    const message = file.messageType.find((m) => m.name === messageName);
    if (message === undefined) throw new Error(`${file.name} has no message ${messageName}`);
    if (message.field.some((f) => f.name === name))
      throw new Error(`${file.name}: the wheel has ${name} now; drop it from newer-fields.ts`);
    message.field.push(create(FieldDescriptorProtoSchema, { name, jsonName, number, type, label: FieldDescriptorProto_Label.OPTIONAL }));
  }
}
