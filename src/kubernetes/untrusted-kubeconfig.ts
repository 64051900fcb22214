/**
 * A kubeconfig that came over the network. What it says is read, and never what it points to: it may name no program to run and no file of this machine,
 * because whoever may write the Secret would then run and read as the control plane.
 */
import { X509Certificate } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { parseDocument } from 'yaml';
import { isRecord } from './list.ts';

export interface UntrustedAccess {
  /** `https://host:port`, with a path if the API stands under one. */
  readonly server: string;
  /** For requests: credentials, and by what the server is known. */
  readonly options: RequestOptions;
  /** That the server is the cluster is checked: https, by a certificate. What it says about who somebody is counts only then. */
  readonly verified: boolean;
}

export interface KubeconfigFault {
  /** `users[0].user.exec`; empty for the kubeconfig as a whole. */
  readonly path: string;
  /** What is wrong and what to do. */
  readonly message: string;
}

export interface UntrustedKubeconfig {
  /** Absent where something is an error: then `faults` says what. */
  readonly access?: UntrustedAccess;
  readonly faults: readonly KubeconfigFault[];
  /** It works, but not as safely as it looks. */
  readonly warnings: readonly KubeconfigFault[];
}

/** What `istioctl create-remote-secret` writes has 3 to 6 KB. */
const maxBytes = 64 * 1024;
const maxEntries = 20;
const maxTokenLength = 16 * 1024;

const instead = 'put a token or client-certificate-data and client-key-data there, as istioctl create-remote-secret does';

/** Fields of a user that make a client run or read something, and why they are refused. Istio refuses the same unless it is told otherwise. */
const refusedOfUser: Readonly<Record<string, string>> = {
  exec: `runs a program with the rights of the control plane and is refused; ${instead}`,
  'auth-provider': `asks a plugin for credentials and is refused; ${instead}`,
  tokenFile: `reads a file of the control plane and is refused; put the token itself into token`,
  'client-certificate': 'reads a file of the control plane and is refused; put the certificate itself into client-certificate-data',
  'client-key': 'reads a file of the control plane and is refused; put the key itself into client-key-data',
  as: 'acts for another user and is not supported; give a credential of that user',
};

const refusedOfCluster: Readonly<Record<string, string>> = {
  'certificate-authority': 'reads a file of the control plane and is refused; put the certificate itself into certificate-authority-data',
  'proxy-url': 'leads over a proxy, which is not supported; name a server that is reached directly',
};

/** Never throws. Everything that is wrong is told, not the first thing alone. */
export function parseUntrustedKubeconfig(text: string): UntrustedKubeconfig {
  const faults: KubeconfigFault[] = [];
  const warnings: KubeconfigFault[] = [];
  const fail = (path: string, message: string): undefined => void faults.push({ path, message });
  const config = readYaml(text, fail);
  if (config === undefined) return { faults, warnings };
  const users = entries(config, 'users', 'user', fail);
  const clusters = entries(config, 'clusters', 'cluster', fail);
  const contexts = entries(config, 'contexts', 'context', fail);
  for (const { path, value } of users) refuse(path, value, refusedOfUser, fail);
  for (const { path, value } of clusters) refuse(path, value, refusedOfCluster, fail);

  const current = config['current-context'];
  const context = contexts.find(({ name }) => name === current);
  if (context === undefined) {
    fail('current-context', typeof current === 'string' ? 'names no context of this kubeconfig' : 'is required: the name of a context');
    return { faults, warnings };
  }
  const cluster = clusters.find(({ name }) => name === context.value['cluster']);
  if (cluster === undefined) fail(`${context.path}.cluster`, 'names no cluster of this kubeconfig');
  const user = users.find(({ name }) => name === context.value['user']);
  if (user === undefined) fail(`${context.path}.user`, 'names no user of this kubeconfig');
  const toCluster = cluster === undefined ? undefined : readCluster(cluster, fail, (path, message) => warnings.push({ path, message }));
  const asUser = user === undefined ? undefined : readUser(user, fail);
  if (faults.length > 0 || toCluster === undefined || asUser === undefined) return { faults, warnings };
  return {
    access: { server: toCluster.server, options: { ...toCluster.options, ...asUser }, verified: toCluster.verified },
    faults,
    warnings,
  };
}

type Fail = (path: string, message: string) => undefined;

interface Entry {
  readonly name: string;
  /** `users[0].user`. */
  readonly path: string;
  readonly value: Readonly<Record<string, unknown>>;
}

function readYaml(text: string, fail: Fail): Readonly<Record<string, unknown>> | undefined {
  if (text.trim() === '') return fail('', 'is empty');
  if (Buffer.byteLength(text) > maxBytes) return fail('', `has more than ${maxBytes} bytes`);
  let value: unknown;
  try {
    const document = parseDocument(text, { merge: false, logLevel: 'silent' });
    const error = document.errors[0];
    // The message of an error quotes the text, which holds credentials.
    if (error !== undefined) return fail('', `is not YAML: ${error.code} in line ${error.linePos?.[0].line ?? 1}`);
    value = document.toJS({ maxAliasCount: 10 });
  } catch {
    return fail('', 'is not YAML, or has more aliases than are read');
  }
  return isRecord(value) ? value : fail('', 'is no kubeconfig: it must be a map with clusters, users, contexts and current-context');
}

function entries(config: Readonly<Record<string, unknown>>, list: string, field: string, fail: Fail): Entry[] {
  const found = config[list] ?? [];
  if (!Array.isArray(found) || found.length > maxEntries) {
    fail(list, `must be a list of at most ${maxEntries}`);
    return [];
  }
  return found.flatMap((entry: unknown, i): Entry[] => {
    if (isRecord(entry) && typeof entry['name'] === 'string' && isRecord(entry[field] ?? {})) {
      return [{ name: entry['name'], path: `${list}[${i}].${field}`, value: (entry[field] ?? {}) as Record<string, unknown> }];
    }
    fail(`${list}[${i}]`, `must have a name and a ${field}`);
    return [];
  });
}

function refuse(path: string, value: Entry['value'], refused: Readonly<Record<string, string>>, fail: Fail): void {
  for (const [field, why] of Object.entries(refused)) {
    const found = value[field];
    if (found !== undefined && found !== null && found !== '') fail(`${path}.${field}`, why);
  }
}

function readCluster(
  { path, value }: Entry,
  fail: Fail,
  warn: Fail | ((path: string, message: string) => unknown),
): UntrustedAccess | undefined {
  const server = value['server'];
  const url = typeof server === 'string' && URL.canParse(server) ? new URL(server) : undefined;
  if (
    url === undefined ||
    (url.protocol !== 'https:' && url.protocol !== 'http:') ||
    url.username + url.password + url.search + url.hash !== ''
  )
    return fail(`${path}.server`, 'must be https://host:port, without user, password and query');
  if (url.protocol === 'http:')
    warn(
      `${path}.server`,
      'is not https: who is on the way reads the credential and tokens, and can name endpoints and prove any identity',
    );
  const ca = pem(value, path, 'certificate-authority-data', fail);
  if (ca !== undefined && !isCertificate(ca)) fail(`${path}.certificate-authority-data`, 'is no certificate in PEM');
  const servername = text(value, path, 'tls-server-name', fail);
  const unverified = value['insecure-skip-tls-verify'] === true;
  if (unverified)
    warn(
      `${path}.insecure-skip-tls-verify`,
      'whoever is on the way can be this cluster and name endpoints, so that its tokens prove nothing here; give certificate-authority-data',
    );
  return {
    server: url.href,
    verified: url.protocol === 'https:' && !unverified,
    options: {
      ...(ca !== undefined && { ca }),
      ...(servername !== undefined && { servername }),
      ...(unverified && { rejectUnauthorized: false }),
    },
  };
}

function readUser({ path, value }: Entry, fail: Fail): RequestOptions {
  const token = text(value, path, 'token', fail);
  if (token !== undefined && (!/^[\x21-\x7e]+$/.test(token) || token.length > maxTokenLength))
    fail(`${path}.token`, `must be at most ${maxTokenLength} printable characters`);
  const username = text(value, path, 'username', fail);
  const password = text(value, path, 'password', fail) ?? '';
  const cert = pem(value, path, 'client-certificate-data', fail);
  const key = pem(value, path, 'client-key-data', fail);
  if ((cert === undefined) !== (key === undefined)) fail(path, 'must have both client-certificate-data and client-key-data, or none');
  if (cert !== undefined && key !== undefined && !fits(cert, key))
    fail(`${path}.client-key-data`, 'is no key in PEM that fits client-certificate-data');
  const authorization =
    token !== undefined
      ? `Bearer ${token}`
      : username !== undefined
        ? `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
        : undefined;
  return {
    ...(cert !== undefined && key !== undefined && { cert, key }),
    ...(authorization !== undefined && { headers: { authorization } }),
  };
}

function text(value: Entry['value'], path: string, field: string, fail: Fail): string | undefined {
  const found = value[field];
  if (found === undefined || found === null || found === '') return undefined;
  return typeof found === 'string' ? found : fail(`${path}.${field}`, 'must be a string');
}

function pem(value: Entry['value'], path: string, field: string, fail: Fail): string | undefined {
  const found = text(value, path, field, fail);
  if (found === undefined) return undefined;
  const decoded = Buffer.from(found, 'base64').toString('latin1');
  return decoded.includes('-----BEGIN ') ? decoded : fail(`${path}.${field}`, 'must be PEM in base64');
}

function isCertificate(ca: string): boolean {
  try {
    return new X509Certificate(ca).subject !== undefined;
  } catch {
    return false; // What OpenSSL says of it helps nobody.
  }
}

function fits(cert: string, key: string): boolean {
  try {
    createSecureContext({ cert, key });
    return true;
  } catch {
    return false; // Its message may quote the key.
  }
}
