/**
 * Secrets that Envoy reads from files. A file named in a static secret is read once; one that is named by a secret which itself
 * comes by SDS from a file is read again whenever its folder sees a rename, which is also how Kubernetes swaps `..data`.
 */
import { create } from '@bufbuild/protobuf';
import { type ConfigSource, ApiVersion, ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.js';
import { type DataSource, DataSourceSchema } from '#gen/envoy/config/core/v3/base_pb.js';
import {
  type Secret,
  SecretSchema,
  type SdsSecretConfig,
  SdsSecretConfigSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { CertificateCredential } from './options.ts';

/** The folder part of a path; rotation is seen by watching it. */
export function folderOf(path: string): string {
  const end = path.lastIndexOf('/');
  return end <= 0 ? (end === 0 ? '/' : '.') : path.slice(0, end);
}

/** One file SDS resource: exactly one secret per file, more are refused ("Unexpected SDS secrets length"). */
export interface FileSecret {
  /** File name, relative to `BootstrapOptions.directory`. */
  readonly file: string;
  readonly secret: Secret;
}

const fileSource = (filename: string): DataSource => create(DataSourceSchema, { specifier: { case: 'filename', value: filename } });

export function tokenSecret(path: string): FileSecret {
  return {
    file: 'sds-token.yaml',
    secret: create(SecretSchema, {
      name: 'token',
      type: {
        case: 'genericSecret',
        value: { secret: { specifier: { case: 'filename', value: path }, watchedDirectory: { path: folderOf(path) } } },
      },
    }),
  };
}

export function rootSecret(path: string): FileSecret {
  return {
    file: 'sds-root.yaml',
    secret: create(SecretSchema, {
      name: 'root',
      type: { case: 'validationContext', value: { trustedCa: fileSource(path), watchedDirectory: { path: folderOf(path) } } },
    }),
  };
}

/** Chain and key must lie in one folder: Envoy takes a new pair when that folder sees a rename. */
export function certificateSecret(credential: CertificateCredential): FileSecret {
  return {
    file: 'sds-certificate.yaml',
    secret: create(SecretSchema, {
      name: 'certificate',
      type: {
        case: 'tlsCertificate',
        value: {
          certificateChain: fileSource(credential.chainFile),
          privateKey: fileSource(credential.keyFile),
          watchedDirectory: { path: folderOf(credential.chainFile) },
        },
      },
    }),
  };
}

/** A reference to a secret in a file of `directory`. */
export function fileSds(directory: string, { file, secret }: FileSecret): SdsSecretConfig {
  const source: ConfigSource = create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    configSourceSpecifier: { case: 'pathConfigSource', value: { path: `${directory}/${file}` } },
  });
  return create(SdsSecretConfigSchema, { name: secret.name, sdsConfig: source });
}
