/** What signs: a self-signed root kept in the state folder, or an intermediate that was plugged in. */
import { createHash, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { CredentialFault } from '../identity/fault.ts';
import { isWorldReadable, loadOrCreateStateFile, readStateFile } from '../identity/privatefile.ts';
import { buildCertificate, encodeName, issuerFields, keyIdentifier, publicKeyInfo, type Issuer } from './certificate.ts';
import { generateKey, parsePrivateKey, privateKeyPem } from './keys.ts';
import { certificatePem, readCertificates, toPem } from './pem.ts';
import { newSerial } from './serial.ts';

/** A CA certificate with its key, and all that a peer needs to check what it signs. */
export interface Authority {
  readonly certificate: X509Certificate;
  readonly issuer: Issuer;
  /** PEM of what a peer gets after the leaf: the signer and its issuers below the root; empty when the root itself signs. */
  readonly intermediates: readonly string[];
  readonly roots: readonly X509Certificate[];
  /** The earliest end in the chain: nothing that is signed lives longer. */
  readonly notAfter: Date;
  /** Short hash of the signer: part of the version of every secret that it signed. */
  readonly generation: string;
  /** For the log. */
  readonly source: string;
  readonly warnings: readonly string[];
}

const rootLifeMs = 10 * 365 * 24 * 3600_000;
/** Clocks of proxies may be behind ours. */
export const backdateMs = 2 * 60_000;

/** Loads `ca/root-cert.pem` and `ca/root-key.pem` of the state folder, or makes them: a self-signed root for 10 years. */
export function loadSelfSignedAuthority(stateDir: string, trustDomain: string, now: number): Authority {
  const keyFile = join(stateDir, 'ca', 'root-key.pem');
  const certificateFile = join(stateDir, 'ca', 'root-cert.pem');
  // The key first: a certificate without its key could never be used again, a key without certificate only gets one.
  const key = parsePrivateKey(
    loadOrCreateStateFile(keyFile, 'secret', () => {
      if (readStateFile(certificateFile, 'public') !== undefined) {
        throw new CredentialFault(
          'file',
          `${certificateFile} is there but its key ${keyFile} is not: restore the key, or remove the certificate to get a new root`,
        );
      }
      return privateKeyPem(generateKey('ec-p256').privateKey);
    }),
    keyFile,
  );
  const pem = loadOrCreateStateFile(certificateFile, 'public', () => toPem('CERTIFICATE', selfSignedRoot(key, trustDomain, now)));
  const [root, ...others] = readCertificates(pem, certificateFile);
  if (others.length > 0)
    throw new CredentialFault('certificate', `${certificateFile} holds ${others.length + 1} certificates, the root alone is expected`);
  return authority({ certificate: root, key, chain: [], roots: [root], where: certificateFile, keyFile, now });
}

/**
 * A self-signed root. Its subject carries the key's identifier: of two roots with one subject a verifier may pick the wrong one.
 */
export function selfSignedRoot(key: KeyObject, trustDomain: string, now: number, lifeMs = rootLifeMs): Buffer {
  const publicKey = publicKeyInfo(key);
  const identifier = keyIdentifier(publicKey);
  const name = encodeName({ organization: trustDomain, commonName: `mizzen root ${identifier.toString('hex').slice(0, 12)}` });
  return buildCertificate(
    {
      serial: newSerial(),
      subject: name,
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + lifeMs),
      publicKey,
      usage: { ca: true },
    },
    { name, keyIdentifier: identifier, key },
  );
}

interface FileNames {
  readonly certificate: string;
  readonly key: string;
  readonly roots: string;
  /** Optional; in the second form the chain stands behind the certificate. */
  readonly chain: string;
}

/** File names as the Secret `cacerts` has them: Istio's own, and those of type kubernetes.io/tls, as cert-manager writes them. */
const pluggedNames: readonly [FileNames, FileNames] = [
  { certificate: 'ca-cert.pem', key: 'ca-key.pem', chain: 'cert-chain.pem', roots: 'root-cert.pem' },
  { certificate: 'tls.crt', key: 'tls.key', chain: 'tls.crt', roots: 'ca.crt' },
];

/**
 * Loads an authority from a folder with ca-cert.pem, ca-key.pem, root-cert.pem and, for an intermediate, cert-chain.pem; or with tls.crt,
 * tls.key and ca.crt. A key that all can read is only a warning here: it is the mode that Kubernetes mounts a Secret with.
 */
export function loadPluggedAuthority(folder: string, now: number): Authority {
  const path = (name: string): string => join(folder, name);
  const [own, tls] = pluggedNames;
  const names =
    readStateFile(path(own.certificate), 'public') === undefined && readStateFile(path(tls.certificate), 'public') !== undefined
      ? tls
      : own;
  const text = (name: string): string => {
    const found = readStateFile(path(name), 'public');
    if (found === undefined) throw new CredentialFault('file', `${path(name)} is missing; a plugged-in authority needs ${needed(names)}`);
    return found;
  };
  const [certificate] = readCertificates(text(names.certificate), path(names.certificate));
  const key = parsePrivateKey(text(names.key), path(names.key));
  const roots = readCertificates(text(names.roots), path(names.roots));
  const chainPem = readStateFile(path(names.chain), 'public') ?? '';
  const chain = chainPem.trim() === '' ? [] : readCertificates(chainPem, path(names.chain));
  const loaded = authority({ certificate, key, chain, roots, where: path(names.certificate), keyFile: path(names.key), now });
  if (!isWorldReadable(path(names.key))) return loaded;
  const warning = `${path(names.key)} can be read by all users: make it "chmod 600", or set the defaultMode of its volume`;
  return { ...loaded, warnings: [...loaded.warnings, warning] };
}

function needed(names: FileNames): string {
  return [...new Set([names.certificate, names.key, names.roots, names.chain])].join(', ');
}

interface Parts {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  /** As given: may or may not begin with the signer and end with the root. */
  readonly chain: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  readonly where: string;
  readonly keyFile: string;
  readonly now: number;
}

function authority(parts: Parts): Authority {
  const { certificate, key, roots, where, now } = parts;
  if (!certificate.ca) throw new CredentialFault('certificate', `${where} is not a CA certificate (basicConstraints CA:TRUE is missing)`);
  if (!certificate.checkPrivateKey(key)) throw new CredentialFault('certificate', `${where} does not belong to the key ${parts.keyFile}`);
  const path = pathToRoot(certificate, [...parts.chain, ...roots], roots);
  if (path === undefined)
    throw new CredentialFault(
      'certificate',
      `${where}: no path of issuers to a root; the intermediates must be in the chain file, the root among the roots`,
    );
  for (const member of path) {
    if (member.validToDate.getTime() <= now)
      throw new CredentialFault('certificate', `${where}: ${nameOf(member)} of its chain expired at ${member.validTo}`);
    if (member.validFromDate.getTime() > now)
      throw new CredentialFault('certificate', `${where}: ${nameOf(member)} of its chain is not valid before ${member.validFrom}`);
  }
  const fields = issuerFields(certificate);
  return {
    certificate,
    issuer: { name: fields.name, key, keyIdentifier: fields.keyIdentifier ?? keyIdentifier(publicKeyInfo(createPublicKey(key))) },
    intermediates: path.slice(0, -1).map(certificatePem),
    roots,
    notAfter: new Date(Math.min(...path.map((member) => member.validToDate.getTime()))),
    generation: createHash('sha256').update(certificate.raw).digest('hex').slice(0, 12),
    source: where,
    warnings:
      fields.keyIdentifier === undefined
        ? [`${where} has no subject key identifier: with two roots of one subject a peer may pick the wrong one`]
        : [],
  };
}

/** The signer, its issuers and the root; just the root when it signs itself. */
function pathToRoot(
  signer: X509Certificate,
  candidates: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): X509Certificate[] | undefined {
  const path = [signer];
  while (path.length <= 8) {
    const last = path.at(-1) as X509Certificate;
    if (roots.some((root) => root.raw.equals(last.raw))) return path;
    const issuer = candidates.find(
      (candidate) => !path.includes(candidate) && last.checkIssued(candidate) && last.verify(candidate.publicKey),
    );
    if (issuer === undefined) return undefined;
    path.push(issuer);
  }
  return undefined;
}

function nameOf(certificate: X509Certificate): string {
  return certificate.subject === '' ? certificate.serialNumber : certificate.subject.replaceAll('\n', ', ');
}
