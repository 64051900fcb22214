/** Certificates of gateways: from the data of Kubernetes Secrets to Envoy's Secret messages. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { SecretSchema, type Secret } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { CredentialFault } from '../identity/fault.ts';
import { encode } from '../wire/encode.ts';
import { hash } from '../wire/hash.ts';
import type { EncodedResource } from '../wire/resource.ts';
import { parsePrivateKey, weaknessOf } from './keys.ts';
import { readCertificates } from './pem.ts';

/** What counts of a Kubernetes Secret, in the form of a configuration object. */
export interface SecretObject {
  readonly namespace: string;
  readonly name: string;
  /** Of `type` nothing is asked: the keys of the data decide, as in istiod. */
  readonly spec: {
    /** Base64, as the API has it. */
    readonly data?: Readonly<Record<string, string>> | undefined;
    /** Plain text, as manifests may have it; wins over `data`. */
    readonly stringData?: Readonly<Record<string, string>> | undefined;
  };
}

/** In the form of the problems of objects, without the object. */
export interface CredentialProblem {
  readonly path: string;
  readonly reason: 'Invalid' | 'RefNotFound';
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

export interface CredentialResult {
  /** Undefined when an error is among the problems. */
  readonly secret: EncodedResource | undefined;
  readonly problems: readonly CredentialProblem[];
}

/** Resource names `kubernetes://[namespace/]name` and `kubernetes://[namespace/]name-cacert`. */
const prefix = 'kubernetes://';
const caSuffix = '-cacert';
/** Key names of the type kubernetes.io/tls first, then those of generic secrets. */
const keys = {
  certificate: ['tls.crt', 'cert'],
  privateKey: ['tls.key', 'key'],
  ca: ['ca.crt', 'cacert'],
  crl: ['ca.crl', 'crl'],
} as const;
const ocspKey = 'tls.ocsp-staple';

/**
 * The secret of that resource name. A name that ends in `-cacert` is a validation context: of the Secret of that very name, else of the Secret
 * without the suffix. `lookup` finds a Secret in the namespace of the name, or in the gateway's own.
 */
export function gatewaySecret(
  resourceName: string,
  lookup: (name: string, namespace: string | undefined) => SecretObject | undefined,
  now: number,
): CredentialResult {
  const path = resourceName.startsWith(prefix) ? resourceName.slice(prefix.length).split('/') : [];
  const name = path.at(-1) ?? '';
  if (path.length < 1 || path.length > 2 || path.includes('')) {
    return failed('', 'Invalid', `${JSON.stringify(resourceName)} is not kubernetes://name or kubernetes://namespace/name`);
  }
  const namespace = path.length === 2 ? path[0] : undefined;
  const own = lookup(name, namespace);
  if (name.endsWith(caSuffix)) {
    const source = own ?? lookup(name.slice(0, -caSuffix.length), namespace);
    if (source !== undefined) return validationContext(resourceName, source, now);
  } else if (own !== undefined) {
    return tlsCertificate(resourceName, own, now);
  }
  return failed('', 'RefNotFound', `Secret ${JSON.stringify(name)} is not found in the gateway's namespace`);
}

/** A `tls_certificate` secret of a Secret with certificate chain and key. */
export function tlsCertificate(resourceName: string, source: SecretObject, now: number): CredentialResult {
  const problems: CredentialProblem[] = [];
  const certificate = entry(source, keys.certificate);
  const privateKey = entry(source, keys.privateKey);
  for (const [found, wanted] of [
    [certificate, keys.certificate],
    [privateKey, keys.privateKey],
  ] as const) {
    if (found === undefined) problems.push(missing(source, wanted));
  }
  if (certificate === undefined || privateKey === undefined) return { secret: undefined, problems };
  const chain = attempt(problems, certificate.path, () => readCertificates(text(certificate), where(source, certificate)));
  const key = attempt(problems, privateKey.path, () => parsePrivateKey(text(privateKey), where(source, privateKey)));
  if (chain !== undefined) problems.push(...flaws(chain[0], key, source, certificate, now));
  const staple = rawEntry(source, ocspKey);
  return result(problems, () =>
    create(SecretSchema, {
      name: resourceName,
      type: {
        case: 'tlsCertificate',
        value: {
          certificateChain: inline(certificate.bytes),
          privateKey: inline(privateKey.bytes),
          ...(staple !== undefined && { ocspStaple: inline(staple.bytes) }),
        },
      },
    }),
  );
}

/** A `validation_context` secret of a Secret with CA certificates. */
export function validationContext(resourceName: string, source: SecretObject, now: number): CredentialResult {
  const problems: CredentialProblem[] = [];
  const ca = entry(source, keys.ca);
  if (ca === undefined) return { secret: undefined, problems: [missing(source, keys.ca)] };
  const roots = attempt(problems, ca.path, () => readCertificates(text(ca), where(source, ca)));
  for (const root of roots ?? []) problems.push(...validity(root, source, ca, now));
  const crl = entry(source, keys.crl);
  return result(problems, () =>
    create(SecretSchema, {
      name: resourceName,
      type: { case: 'validationContext', value: { trustedCa: inline(ca.bytes), ...(crl !== undefined && { crl: inline(crl.bytes) }) } },
    }),
  );
}

interface Entry {
  /** `data[tls.crt]`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

function entry(source: SecretObject, names: readonly string[]): Entry | undefined {
  for (const name of names) {
    const found = rawEntry(source, name);
    if (found !== undefined && found.bytes.length > 0) return found;
  }
  return undefined;
}

function rawEntry(source: SecretObject, name: string): Entry | undefined {
  const plain = source.spec.stringData?.[name];
  if (plain !== undefined) return { path: `stringData[${name}]`, bytes: Buffer.from(plain) };
  const encoded = source.spec.data?.[name];
  return encoded === undefined ? undefined : { path: `data[${name}]`, bytes: Buffer.from(encoded, 'base64') };
}

function text(found: Entry): string {
  return Buffer.from(found.bytes).toString('latin1');
}

function where(source: SecretObject, found: Entry): string {
  return `Secret ${source.namespace}/${source.name}: ${found.path}`;
}

function missing(source: SecretObject, names: readonly string[]): CredentialProblem {
  const message = `Secret ${source.namespace}/${source.name} has no ${names.join(' or ')}`;
  return { path: 'data', reason: 'Invalid', severity: 'error', message };
}

function failed(path: string, reason: CredentialProblem['reason'], message: string): CredentialResult {
  return { secret: undefined, problems: [{ path, reason, severity: 'error', message }] };
}

function attempt<T>(problems: CredentialProblem[], path: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CredentialFault)) throw error;
    problems.push({ path, reason: 'Invalid', severity: 'error', message: error.message });
    return undefined;
  }
}

function flaws(leaf: X509Certificate, key: KeyObject | undefined, source: SecretObject, found: Entry, now: number): CredentialProblem[] {
  const error = (message: string): CredentialProblem => ({
    path: found.path,
    reason: 'Invalid',
    severity: 'error',
    message: `${where(source, found)}: ${message}`,
  });
  const weak = weaknessOf(leaf.publicKey);
  return [
    ...(weak === undefined ? [] : [error(weak)]),
    ...(key === undefined || leaf.checkPrivateKey(key) ? [] : [error('the private key does not belong to the certificate')]),
    ...validity(leaf, source, found, now),
  ];
}

/** Envoy serves an expired certificate, so that it is a warning. */
function validity(certificate: X509Certificate, source: SecretObject, found: Entry, now: number): CredentialProblem[] {
  const warning = (message: string): CredentialProblem[] => [
    { path: found.path, reason: 'Invalid', severity: 'warning', message: `${where(source, found)}: ${message}` },
  ];
  if (certificate.validToDate.getTime() < now) return warning(`the certificate expired at ${certificate.validTo}: replace it`);
  if (certificate.validFromDate.getTime() > now) return warning(`the certificate is not valid before ${certificate.validFrom}`);
  return [];
}

function result(problems: readonly CredentialProblem[], make: () => Secret): CredentialResult {
  if (problems.some((problem) => problem.severity === 'error')) return { secret: undefined, problems };
  const secret = make();
  const bytes = encode(SecretSchema, secret);
  return { secret: { name: secret.name, version: hash(bytes), bytes }, problems };
}

function inline(bytes: Uint8Array): { specifier: { case: 'inlineBytes'; value: Uint8Array } } {
  return { specifier: { case: 'inlineBytes', value: bytes } };
}
