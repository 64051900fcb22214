import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  fromBinary,
  type Registry,
} from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { knownFile, resolveFile } from '#gen/file-desc.js';
import { outlineFiles } from './outline.ts';

type Type = DescMessage | DescEnum | DescExtension | DescService;

/**
 * All message types of Envoy's API and our own, by reflection. `descriptorSet`: the bytes of `generated/descriptors.binpb`.
 * A type's file is parsed when the type is first asked for: of 1,500 message types some hundreds are ever met. Types that have modules are theirs.
 * Make one and pass it on: what is compiled for a type is kept by its descriptor.
 */
export function fullRegistry(descriptorSet: Uint8Array): Registry {
  return new LazyRegistry(descriptorSet);
}

interface Source {
  readonly bytes: Uint8Array;
  readonly extensions: boolean;
  read: boolean;
}

class LazyRegistry implements Registry {
  readonly kind = 'registry';
  /** By name, in the order of the set. */
  readonly #sources = new Map<string, Source>();
  /** Names of files, by the names of their outermost types. */
  readonly #files = new Map<string, string>();
  /** Of the files that have been read. */
  readonly #types = new Map<string, Type>();

  constructor(descriptorSet: Uint8Array) {
    for (const { name, types, extensions, bytes } of outlineFiles(descriptorSet)) {
      this.#sources.set(name, { bytes, extensions: extensions.length > 0, read: false });
      for (const type of types) this.#files.set(type, name);
      for (const extension of extensions) this.#files.set(extension, name);
    }
  }

  get(typeName: string): Type | undefined {
    const known = this.#types.get(typeName);
    if (known !== undefined) return known;
    const file = this.#fileOf(typeName);
    if (file === undefined || this.#sources.get(file)?.read !== false) return undefined;
    this.#read(file);
    return this.#types.get(typeName);
  }

  getMessage(typeName: string): DescMessage | undefined {
    const type = this.get(typeName);
    return type?.kind === 'message' ? type : undefined;
  }

  getEnum(typeName: string): DescEnum | undefined {
    const type = this.get(typeName);
    return type?.kind === 'enum' ? type : undefined;
  }

  getService(typeName: string): DescService | undefined {
    const type = this.get(typeName);
    return type?.kind === 'service' ? type : undefined;
  }

  getExtension(typeName: string): DescExtension | undefined {
    const type = this.get(typeName);
    return type?.kind === 'extension' ? type : undefined;
  }

  getExtensionFor(extendee: DescMessage, no: number): DescExtension | undefined {
    for (const [name, source] of this.#sources) if (source.extensions) this.#read(name);
    for (const type of this.#types.values()) {
      if (type.kind === 'extension' && type.number === no && type.extendee.typeName === extendee.typeName) return type;
    }
    return undefined;
  }

  /** Reads everything. */
  *[Symbol.iterator](): IterableIterator<Type> {
    for (const name of this.#sources.keys()) this.#read(name);
    yield* this.#types.values();
  }

  /** A nested type is in the file of the outermost one around it. */
  #fileOf(typeName: string): string | undefined {
    for (let name = typeName; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
      const file = this.#files.get(name);
      if (file !== undefined) return file;
    }
    return undefined;
  }

  #read(name: string): DescFile {
    const source = this.#sources.get(name);
    if (source === undefined) throw new Error(`descriptors lack the file ${name}, which others import`);
    let file = knownFile(name);
    if (file === undefined) {
      const proto = fromBinary(FileDescriptorProtoSchema, source.bytes);
      file = resolveFile(
        proto,
        proto.dependency.map((dependency) => this.#read(dependency)),
      );
    }
    if (!source.read) {
      source.read = true;
      for (const type of nestedTypes(file)) this.#types.set(type.typeName, type);
    }
    return file;
  }
}
