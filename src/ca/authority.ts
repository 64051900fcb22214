/** What signs: a self-signed root kept in the state folder, or an intermediate that was plugged in. */
import { createHash, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { CredentialFault } from '../identity/fault.ts';
import { isWorldReadable, loadOrCreateStateFile, readStateFile } from '../identity/privatefile.ts';
import { buildCertificate, encodeName, issuerFields, keyIdentifier, publicKeyInfo, type Issuer } from './certificate.ts';
import { generateKey, parsePrivateKey, privateKeyPem } from './keys.ts';
import { materialIn, MaterialFault, pluggedKeys, type CaMaterial, type MaterialPart } from './material.ts';
import { certificatePem, readCertificates, toPem } from './pem.ts';
import { newSerial } from './serial.ts';

/** A CA certificate with its key, and all that a peer needs to check what it signs. */
export interface Authority {
  readonly certificate: X509Certificate;
  readonly issuer: Issuer;
  /** PEM of what a peer gets after the leaf: the signer and its issuers below the root; empty when the root itself signs. */
  readonly intermediates: readonly string[];
  readonly roots: readonly X509Certificate[];
  /** The one of the roots that stands at the end of the signer's chain. */
  readonly root: X509Certificate;
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

/** A new key and a self-signed root for it. */
export function newSelfSignedMaterial(trustDomain: string, now: number, lifeMs = rootLifeMs): CaMaterial {
  const { privateKey } = generateKey('ec-p256');
  const certificate = toPem('CERTIFICATE', selfSignedRoot(privateKey, trustDomain, now, lifeMs));
  return { certificate, key: privateKeyPem(privateKey), chain: '', roots: certificate };
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

/**
 * Loads an authority from a folder with ca-cert.pem, ca-key.pem, root-cert.pem and, for an intermediate, cert-chain.pem; or with tls.crt,
 * tls.key and ca.crt. A key that all can read is only a warning here: it is the mode that Kubernetes mounts a Secret with.
 */
export function loadPluggedAuthority(folder: string, now: number): Authority {
  const path = (name: string): string => join(folder, name);
  const found = (name: string): string | undefined => readStateFile(path(name), 'public');
  const keys = pluggedKeys(found);
  const missing = ([keys.certificate, keys.key, keys.roots] as const).find((name) => found(name) === undefined);
  if (missing !== undefined) {
    const needed = [...new Set([keys.certificate, keys.key, keys.roots, keys.chain])].join(', ');
    throw new CredentialFault('file', `${path(missing)} is missing; a plugged-in authority needs ${needed}`);
  }
  const loaded = readAuthority(materialIn(found, keys, folder), (part) => path(keys[part]), now);
  if (!isWorldReadable(path(keys.key))) return loaded;
  const warning = `${path(keys.key)} can be read by all users: make it "chmod 600", or set the defaultMode of its volume`;
  return { ...loaded, warnings: [...loaded.warnings, warning] };
}

/**
 * An authority of its material. `name` says of each part where it is from. Throws a MaterialFault with the part that is wrong. Without `now` it
 * may have expired.
 */
export function readAuthority(material: CaMaterial, name: (part: MaterialPart) => string, now?: number): Authority {
  const at = <T>(part: MaterialPart, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof CredentialFault) || error instanceof MaterialFault) throw error;
      throw new MaterialFault(part, error);
    }
  };
  const [certificate] = at('certificate', () => readCertificates(material.certificate, name('certificate')));
  const key = at('key', () => parsePrivateKey(material.key, name('key')));
  const roots = at('roots', () => readCertificates(material.roots, name('roots')));
  const chain = material.chain.trim() === '' ? [] : at('chain', () => readCertificates(material.chain, name('chain')));
  return at('certificate', () => authority({ certificate, key, chain, roots, where: name('certificate'), keyFile: name('key'), now }));
}

interface Parts {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  /** As given: may or may not begin with the signer and end with the root. */
  readonly chain: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
  readonly where: string;
  readonly keyFile: string;
  /** Undefined: whether it is valid is not asked. */
  readonly now: number | undefined;
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
  if (now !== undefined) for (const member of path) checkValidity(member, where, now);
  const fields = issuerFields(certificate);
  return {
    certificate,
    issuer: { name: fields.name, key, keyIdentifier: fields.keyIdentifier ?? keyIdentifier(publicKeyInfo(createPublicKey(key))) },
    intermediates: path.slice(0, -1).map(certificatePem),
    roots,
    root: path.at(-1) ?? certificate,
    notAfter: new Date(Math.min(...path.map((member) => member.validToDate.getTime()))),
    generation: generationOf(certificate),
    source: where,
    warnings:
      fields.keyIdentifier === undefined
        ? [`${where} has no subject key identifier: with two roots of one subject a peer may pick the wrong one`]
        : [],
  };
}

function checkValidity(member: X509Certificate, where: string, now: number): void {
  if (member.validToDate.getTime() <= now)
    throw new CredentialFault('certificate', `${where}: ${nameOf(member)} of its chain expired at ${member.validTo}`);
  if (member.validFromDate.getTime() > now)
    throw new CredentialFault('certificate', `${where}: ${nameOf(member)} of its chain is not valid before ${member.validFrom}`);
}

/** A short name of a certificate, for versions and messages. */
export function generationOf(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('hex').slice(0, 12);
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
