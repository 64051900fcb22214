import type { DescFile } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';

export declare function fileDesc(base64: string, imports?: readonly DescFile[]): DescFile;
export declare function resolveFile(proto: FileDescriptorProto, imports: readonly DescFile[]): DescFile;
export declare function knownFile(name: string): DescFile | undefined;
