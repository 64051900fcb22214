import { X509Certificate } from 'node:crypto';
import { parseSpiffeId } from './spiffe.ts';
import { refusal, type ProvenIdentity, type Refusal } from './proof.ts';

export interface CertificateVerifierOptions {
  /** The roots trusted now; read on every call, so that a rotation counts at once. */
  readonly roots: () => readonly X509Certificate[];
  /** Intermediates that we know ourselves: a server may be told the leaf only. */
  readonly intermediates?: () => readonly X509Certificate[];
  /** Ours and its aliases: a peer of a foreign domain under the same root is refused. */
  readonly trustDomains: () => readonly string[];
  readonly now: () => number;
}

const clientAuth = '1.3.6.1.5.5.7.3.2';
/** Leaf, intermediates and root; more is no chain of ours. */
const maxDepth = 5;
const maxCertificateBytes = 16 * 1024;

/** Proves an identity by a client certificate that our CA has issued. */
export class CertificateVerifier {
  readonly #options: CertificateVerifierOptions;

  constructor(options: CertificateVerifierOptions) {
    this.#options = options;
  }

  /** `chain` is DER, leaf first. */
  verify(chain: readonly Uint8Array[]): ProvenIdentity | Refusal {
    if (chain.length > maxDepth || chain.some((der) => der.length > maxCertificateBytes)) {
      return refusal('malformed', `client certificate chain is longer than ${maxDepth} or has one above ${maxCertificateBytes} bytes`);
    }
    let certificates: X509Certificate[];
    try {
      certificates = chain.map((der) => new X509Certificate(der));
    } catch {
      return refusal('malformed', 'client certificate is not an X.509 certificate'); // OpenSSL's reason helps nobody here
    }
    const [leaf, ...presented] = certificates;
    if (leaf === undefined) return refusal('no-credentials', 'no client certificate');
    const name = `client certificate ${leaf.serialNumber}`;
    return this.#validity(leaf, name) ?? this.#usage(leaf, name) ?? this.#trust(leaf, presented, name) ?? this.#identity(leaf, name);
  }

  #validity(certificate: X509Certificate, name: string): Refusal | undefined {
    const now = this.#options.now();
    if (now < certificate.validFromDate.getTime()) return refusal('not-yet-valid', `${name} is not valid before ${certificate.validFrom}`);
    if (now > certificate.validToDate.getTime()) return refusal('expired', `${name} expired at ${certificate.validTo}`);
    return undefined;
  }

  /** `keyUsage` of node:crypto is the extended key usage. Without the extension a certificate is good for everything: not enough for us. */
  #usage(leaf: X509Certificate, name: string): Refusal | undefined {
    if (leaf.ca) return refusal('usage', `${name} is a CA certificate`);
    const usages: readonly string[] | undefined = leaf.keyUsage;
    return usages?.includes(clientAuth) === true ? undefined : refusal('usage', `${name} is not for client authentication`);
  }

  #trust(leaf: X509Certificate, presented: readonly X509Certificate[], name: string): Refusal | undefined {
    const roots = this.#options.roots();
    const candidates = [...presented, ...(this.#options.intermediates?.() ?? [])];
    let subject = leaf;
    for (let depth = 1; depth < maxDepth; depth++) {
      const root = roots.find((candidate) => issued(candidate, subject));
      if (root !== undefined) return this.#validity(root, `the root of ${name}`);
      const issuer = candidates.find((candidate) => candidate !== subject && issued(candidate, subject));
      if (issuer === undefined) break;
      const invalid = this.#validity(issuer, `the intermediate of ${name}`);
      if (invalid !== undefined) return invalid;
      subject = issuer;
    }
    return refusal('untrusted', `${name} is not issued by any of our ${roots.length} root(s)`);
  }

  #identity(leaf: X509Certificate, name: string): ProvenIdentity | Refusal {
    const uris = uriNames(leaf.subjectAltName ?? '');
    if (uris === undefined) return refusal('malformed', `${name} has a SAN that needs quoting`);
    const [uri] = uris;
    if (uri === undefined || uris.length !== 1)
      return refusal('claim', `${name} has ${uris.length} URI SANs, exactly one SPIFFE id is needed`);
    const id = parseSpiffeId(uri);
    if (id === undefined)
      return refusal('claim', `${name}: ${JSON.stringify(uri)} is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>`);
    const domains = this.#options.trustDomains();
    if (!domains.includes(id.trustDomain)) {
      return refusal('trust-domain', `${name}: trust domain ${id.trustDomain} of ${uri} is none of ${domains.join(', ')}`);
    }
    return { ...id, spiffeId: uri, via: 'certificate', expiresAt: leaf.validToDate };
  }
}

function issued(issuer: X509Certificate, subject: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

/** Node joins names with ", " and quotes those in which that would be ambiguous; no SPIFFE id needs a quote. */
function uriNames(subjectAltName: string): string[] | undefined {
  if (subjectAltName.includes('"')) return undefined;
  return subjectAltName
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length));
}
