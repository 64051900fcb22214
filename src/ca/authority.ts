/** What signs: a self-signed root kept in the state folder, or an intermediate that was plugged in. */
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CredentialFault } from '../identity/fault.ts';
import { loadOrCreateStateFile, readStateFile } from '../identity/privatefile.ts';
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

/** File names as the Secret `cacerts` has them. */
const plugged = { certificate: 'ca-cert.pem', key: 'ca-key.pem', chain: 'cert-chain.pem', roots: 'root-cert.pem' } as const;

/** Loads an authority from a folder with ca-cert.pem, ca-key.pem, root-cert.pem and, for an intermediate, cert-chain.pem. */
export function loadPluggedAuthority(folder: string, now: number): Authority {
  const path = (name: string): string => join(folder, name);
  const text = (name: string, kind: 'secret' | 'public'): string => {
    const found = readStateFile(path(name), kind);
    if (found === undefined)
      throw new CredentialFault('file', `${path(name)} is missing; a plugged-in authority needs ${Object.values(plugged).join(', ')}`);
    return found;
  };
  const [certificate] = readCertificates(text(plugged.certificate, 'public'), path(plugged.certificate));
  const key = parsePrivateKey(text(plugged.key, 'secret'), path(plugged.key));
  const roots = readCertificates(text(plugged.roots, 'public'), path(plugged.roots));
  const chainPem = readStateFile(path(plugged.chain), 'public') ?? '';
  const chain = chainPem.trim() === '' ? [] : readCertificates(chainPem, path(plugged.chain));
  return authority({ certificate, key, chain, roots, where: path(plugged.certificate), keyFile: path(plugged.key), now });
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
    throw new CredentialFault('certificate', `${where}: no path to a root over ${plugged.chain} and ${plugged.roots}`);
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
