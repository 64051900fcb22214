/**
 * Makes `generated/`: Envoy's API from the descriptors in the wheel `xds-protos`, and our own `protos/`, as precompiled
 * modules with TypeScript types (protoc-gen-es), so that nothing parses .proto text at start-up. Does nothing when up to date.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clearField, clone, create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { protoCamelCase } from '@bufbuild/protobuf/reflect';
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type DescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
} from '@bufbuild/protobuf/wkt';
import { cacheDir, xdsProtosVersion, xdsProtosWheel } from './cache.ts';
import { addNewerFields } from './newer-fields.ts';

const root = join(import.meta.dirname, '..');
const out = join(root, 'generated');
const fileDesc = join(import.meta.dirname, 'file-desc.js');
const fileDescTypes = join(import.meta.dirname, 'file-desc.d.ts');

function fingerprint(): string {
  const hash = createHash('sha256')
    .update(xdsProtosVersion)
    .update(readFileSync(import.meta.filename));
  hash.update(readFileSync(join(import.meta.dirname, 'newer-fields.ts')));
  hash.update(readFileSync(fileDesc)).update(readFileSync(fileDescTypes));
  hash.update(readFileSync(join(root, 'package-lock.json')));
  for (const f of readdirSync(join(root, 'protos'), { recursive: true, encoding: 'utf8' }).sort()) {
    if (f.endsWith('.proto')) hash.update(f).update(readFileSync(join(root, 'protos', f)));
  }
  return hash.digest('hex');
}

/** The bytes of the first Python bytes literal passed to AddSerializedFile in a `_pb2.py`. */
function serializedFile(python: string): Uint8Array | undefined {
  const start = python.indexOf('AddSerializedFile(b');
  if (start < 0) return undefined;
  const open = start + 'AddSerializedFile(b'.length;
  const quote = python[open];
  const bytes: number[] = [];
  const escapes: Record<string, number> = { n: 10, r: 13, t: 9, "'": 39, '"': 34, '\\': 92 };
  for (let i = open + 1; python[i] !== quote;) {
    if (python[i] !== '\\') {
      bytes.push(python.charCodeAt(i++));
      continue;
    }
    const c = python[i + 1] ?? '';
    if (c === 'x') {
      bytes.push(parseInt(python.slice(i + 2, i + 4), 16));
      i += 4;
    } else if (c >= '0' && c <= '7') {
      bytes.push(parseInt(python.slice(i + 1, i + 4), 8));
      i += 4;
    } else {
      const b = escapes[c];
      if (b === undefined) throw new Error(`unknown escape \\${c} in a Python descriptor`);
      bytes.push(b);
      i += 2;
    }
  }
  return Uint8Array.from(bytes);
}

/**
 * What the source imports by name gets modules and types; all the rest of Envoy's API is reachable by reflection through
 * `generated/descriptors.binpb`. Add a package here when a translator needs it.
 */
const typed = [
  'envoy/admin/v3/',
  'envoy/config/accesslog/v3/',
  'envoy/config/bootstrap/v3/',
  'envoy/config/cluster/v3/',
  'envoy/config/core/v3/',
  'envoy/config/endpoint/v3/',
  'envoy/config/listener/v3/',
  'envoy/config/metrics/v3/',
  'envoy/config/rbac/v3/',
  'envoy/config/route/v3/',
  'envoy/config/trace/v3/',
  'envoy/extensions/access_loggers/file/v3/',
  'envoy/extensions/access_loggers/stats/v3/',
  'envoy/extensions/access_loggers/stream/v3/',
  'envoy/extensions/clusters/dns/v3/',
  'envoy/extensions/clusters/dynamic_forward_proxy/v3/',
  'envoy/extensions/common/dynamic_forward_proxy/v3/',
  'envoy/extensions/common/set_filter_state/',
  'envoy/extensions/filters/common/set_filter_state/v3/',
  'envoy/extensions/filters/common/fault/v3/',
  'envoy/extensions/filters/http/cors/v3/',
  'envoy/extensions/filters/http/credential_injector/v3/',
  'envoy/extensions/filters/http/ext_authz/v3/',
  'envoy/extensions/filters/http/fault/v3/',
  'envoy/extensions/filters/http/grpc_stats/v3/',
  'envoy/extensions/filters/http/health_check/v3/',
  'envoy/extensions/filters/http/on_demand/v3/',
  'envoy/extensions/filters/http/rbac/v3/',
  'envoy/extensions/filters/http/router/v3/',
  'envoy/extensions/filters/http/set_filter_state/v3/',
  'envoy/extensions/filters/http/upstream_codec/v3/',
  'envoy/extensions/filters/listener/http_inspector/v3/',
  'envoy/extensions/filters/listener/original_dst/v3/',
  'envoy/extensions/filters/listener/original_src/v3/',
  'envoy/extensions/filters/listener/tls_inspector/v3/',
  'envoy/extensions/filters/network/ext_authz/v3/',
  'envoy/extensions/filters/network/http_connection_manager/v3/',
  'envoy/extensions/filters/network/rbac/v3/',
  'envoy/extensions/filters/network/set_filter_state/v3/',
  'envoy/extensions/filters/network/sni_cluster/v3/',
  'envoy/extensions/filters/network/tcp_proxy/v3/',
  'envoy/extensions/formatter/',
  'envoy/extensions/http/injected_credentials/generic/v3/',
  'envoy/extensions/load_balancing_policies/',
  'envoy/extensions/path/match/',
  'envoy/extensions/retry/',
  'envoy/extensions/transport_sockets/raw_buffer/v3/',
  'envoy/extensions/transport_sockets/tls/v3/',
  'envoy/extensions/upstreams/http/v3/',
  'envoy/extensions/wasm/v3/',
  'envoy/service/discovery/v3/',
  'envoy/service/status/v3/',
  'envoy/type/',
];

async function envoyFiles(): Promise<FileDescriptorProto[]> {
  const all = new Map<string, FileDescriptorProto>();
  for (const bytes of Object.values(await xdsProtosWheel())) {
    const raw = serializedFile(Buffer.from(bytes).toString('latin1'));
    if (raw === undefined) continue;
    const file = fromBinary(FileDescriptorProtoSchema, raw);
    addNewerFields(file);
    setJsonNames(file.extension, file.messageType);
    all.set(file.name, file);
  }
  const wanted: FileDescriptorProto[] = [];
  const seen = new Set<string>();
  const add = (name: string): void => {
    if (seen.has(name) || name.startsWith('google/protobuf/')) return;
    seen.add(name);
    const file = all.get(name);
    if (file === undefined) throw new Error(`descriptor ${name} is not in the wheel`);
    for (const dep of file.dependency) add(dep);
    wanted.push(file);
  };
  for (const name of [...all.keys()].sort()) {
    if (name.startsWith('envoy/') && !/\/v2(alpha)?\d*\//.test(name)) add(name);
  }
  return wanted;
}

/** Python's descriptors carry no json_name, and a reader of descriptors is not allowed to compute it. */
function setJsonNames(fields: readonly FieldDescriptorProto[], messages: readonly DescriptorProto[]): void {
  for (const field of fields) if (field.jsonName === '') field.jsonName = protoCamelCase(field.name);
  for (const message of messages) setJsonNames([...message.field, ...message.extension], message.nestedType);
}

function ownFiles(work: string): FileDescriptorProto[] {
  const image = join(work, 'own.binpb');
  execFileSync('buf', ['build', 'protos', '--as-file-descriptor-set', '-o', image], { cwd: root, stdio: 'inherit' });
  return fromBinary(FileDescriptorSetSchema, readFileSync(image)).file.filter((f) => !f.name.startsWith('google/protobuf/'));
}

/** The files and everything that they import, in the order of `files`. */
function closure(targets: readonly FileDescriptorProto[], files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((f) => [f.name, f]));
  const needed = new Set<string>();
  const visit = (name: string): void => {
    if (needed.has(name)) return;
    needed.add(name);
    for (const dep of byName.get(name)?.dependency ?? []) visit(dep);
  };
  for (const f of targets) visit(f.name);
  return files.filter((f) => needed.has(f.name));
}

/** Lets the generated modules import fileDesc from our own file-desc.js, which says why. */
function useOwnFileDesc(dir: string): void {
  cpSync(fileDesc, join(dir, 'file-desc.js'));
  cpSync(fileDescTypes, join(dir, 'file-desc.d.ts'));
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('_pb.js')) continue;
    const code = readFileSync(join(dir, name), 'utf8');
    const own = `${'../'.repeat(name.split(/[\\/]/).length - 1) || './'}file-desc.js`;
    const changed = code.replace(
      /import \{ (.*)\bfileDesc(?:, )?(.*) \} (from "@bufbuild\/protobuf\/codegenv2";)/,
      (_, before, after, from) => {
        const others = `${before}${after}`.replace(/, $/, '');
        return `import { fileDesc } from "${own}";${others === '' ? '' : `\nimport { ${others} } ${from}`}`;
      },
    );
    if (changed === code) throw new Error(`${name} does not import fileDesc as expected`);
    writeFileSync(join(dir, name), changed);
  }
}

/** What mizzen serves over gRPC; `generated/services.binpb` holds these files and what they import, so that start-up reads no more. */
const services = ['envoy/service/discovery/v3/ads.proto', 'envoy/service/status/v3/csds.proto', 'istio/v1/auth/ca.proto'];

const stamp = join(out, '.fingerprint');
const wanted = fingerprint();
const upToDate = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
const kept = join(cacheDir, 'generated', wanted);
if (!upToDate && existsSync(join(kept, '.fingerprint'))) {
  rmSync(out, { recursive: true, force: true });
  cpSync(kept, out, { recursive: true });
} else if (!upToDate) {
  console.error('mizzen: compiling protobuf descriptors into generated/');
  const work = join(root, '.cache', `generate-${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const files = [...(await envoyFiles()), ...ownFiles(work)];
  const descriptors = join(work, 'descriptors.binpb');
  const wkt = fromBinary(FileDescriptorSetSchema, wellKnownTypes(work)).file;
  writeFileSync(descriptors, descriptorSet([...wkt, ...files]));
  const targets = files.filter((f) => f.name.startsWith('istio/') || typed.some((p) => f.name.startsWith(p)));
  const needed = closure(targets, files);
  const image = join(work, 'typed.binpb');
  writeFileSync(image, toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...wkt, ...needed] })));
  const template = {
    version: 'v2',
    plugins: [{ local: 'protoc-gen-es', out: join(work, 'out'), opt: ['target=js+dts', 'import_extension=js'] }],
  };
  execFileSync('buf', ['generate', image, '--template', JSON.stringify(template)], { cwd: root, stdio: 'inherit' });
  useOwnFileDesc(join(work, 'out'));
  rmSync(out, { recursive: true, force: true });
  cpSync(join(work, 'out'), out, { recursive: true });
  cpSync(descriptors, join(out, 'descriptors.binpb'));
  const served = closure(
    files.filter((f) => services.includes(f.name)),
    [...wkt, ...files],
  );
  writeFileSync(join(out, 'services.binpb'), descriptorSet(served));
  rmSync(work, { recursive: true, force: true });
  writeFileSync(stamp, wanted);
  const partial = `${kept}.${process.pid}`;
  cpSync(out, partial, { recursive: true });
  rmSync(kept, { recursive: true, force: true });
  renameSync(partial, kept);
}

/** The files without comments and the places of everything in the source. */
function descriptorSet(files: readonly FileDescriptorProto[]): Uint8Array {
  const set = create(FileDescriptorSetSchema, { file: files.map((file) => clone(FileDescriptorProtoSchema, file)) });
  for (const file of set.file) clearField(file, FileDescriptorProtoSchema.field.sourceCodeInfo);
  return toBinary(FileDescriptorSetSchema, set);
}

/** Descriptors of google/protobuf/*, which the wheel does not carry. */
function wellKnownTypes(work: string): Uint8Array {
  const dir = join(work, 'wkt');
  mkdirSync(dir, { recursive: true });
  const names = [
    'any',
    'api',
    'descriptor',
    'duration',
    'empty',
    'field_mask',
    'source_context',
    'struct',
    'timestamp',
    'type',
    'wrappers',
  ];
  writeFileSync(join(dir, 'wkt.proto'), `syntax = "proto3";\n${names.map((n) => `import "google/protobuf/${n}.proto";\n`).join('')}`);
  const image = join(work, 'wkt.binpb');
  execFileSync('buf', ['build', dir, '--as-file-descriptor-set', '-o', image], { cwd: root, stdio: ['ignore', 'inherit', 'ignore'] });
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(image));
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: set.file.filter((f) => f.name !== 'wkt.proto') }));
}
