import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { CredentialFault } from '../identity/fault.ts';
import { DerError, DerReader, bitStringOctets, oidText, tags } from './der.ts';
import { hashOfSignature, weaknessOf } from './keys.ts';
import { pemBlocks } from './pem.ts';

/** What counts of a request: its key, which is proven to be the requester's. Its names are ignored, they are never proof of anything. */
export interface SigningRequest {
  readonly publicKey: KeyObject;
  /** The subject has a common name: some old clients need one in the certificate too. */
  readonly hasCommonName: boolean;
}

/** An RSA 8192 request with many names has about 3 KiB. */
export const maxRequestBytes = 16 * 1024;
const commonNameOid = '2.5.4.3';
const rsaPssOid = '1.2.840.113549.1.1.10';

/** Reads a PEM PKCS#10 request (RFC 2986) and checks its signature. Throws a CredentialFault `csr` or `key`, nothing else. */
export function parseSigningRequest(pem: string): SigningRequest {
  if (pem.length > maxRequestBytes)
    throw new CredentialFault('csr', `certificate request of ${pem.length} bytes, at most ${maxRequestBytes} are read`);
  const blocks = pemBlocks(pem, 'CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST');
  const [der] = blocks;
  if (der === undefined || blocks.length !== 1) {
    throw new CredentialFault('csr', `certificate request must be exactly one PEM block "CERTIFICATE REQUEST", found ${blocks.length}`);
  }
  try {
    return readRequest(der);
  } catch (error) {
    if (error instanceof DerError) throw new CredentialFault('csr', `certificate request is malformed: ${error.message}`, { cause: error });
    throw error;
  }
}

function readRequest(der: Uint8Array): SigningRequest {
  const outer = new DerReader(der);
  const request = outer.enter(tags.sequence);
  outer.end();
  const info = request.next(tags.sequence);
  const algorithm = readAlgorithm(request.enter(tags.sequence));
  const signature = bitStringOctets(request.next(tags.bitString));
  request.end();

  const fields = new DerReader(info.contents);
  const version = fields.next(tags.integer).contents;
  if (version.length !== 1 || version[0] !== 0) throw new DerError('version is not 1');
  const subject = fields.enter(tags.sequence);
  const publicKey = readPublicKey(fields.next(tags.sequence).whole);
  fields.optional(tags.context0); // attributes: the names asked for
  fields.end();

  const weak = weaknessOf(publicKey);
  if (weak !== undefined) throw new CredentialFault('key', `certificate request: ${weak}`);
  const hash = hashOfSignature(algorithm, publicKey);
  if (hash === undefined)
    throw new CredentialFault(
      'csr',
      `certificate request: signature algorithm ${algorithm} is not taken; use SHA-256 or stronger with the key's own type`,
    );
  if (!isSigned(hash, info.whole, publicKey, signature))
    throw new CredentialFault('csr', 'certificate request is not signed by its own key');
  return { publicKey, hasCommonName: hasCommonName(subject) };
}

/** RSA's identifiers carry a NULL, ECDSA's nothing; algorithms with parameters are not taken. */
function readAlgorithm(identifier: DerReader): string {
  const algorithm = oidText(identifier.next(tags.oid).contents);
  if (algorithm === rsaPssOid) return algorithm; // refused by its name, which tells more than a complaint about its parameters
  if (identifier.optional(tags.null)?.contents.length) throw new DerError('NULL with contents');
  identifier.end();
  return algorithm;
}

function readPublicKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (error) {
    throw new DerError('its public key is not readable', { cause: error });
  }
}

function isSigned(hash: string, data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(hash, data, key, signature);
  } catch {
    return false; // OpenSSL throws for points that are not on the curve and the like
  }
}

function hasCommonName(subject: DerReader): boolean {
  while (!subject.done) {
    const names = subject.enter(tags.set);
    while (!names.done) {
      if (oidText(names.enter(tags.sequence).next(tags.oid).contents) === commonNameOid) return true;
    }
  }
  return false;
}
