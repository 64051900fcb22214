import { X509Certificate } from 'node:crypto';
import type { Column } from '../output.ts';
import { at, resourcesOf, textAt } from './json.ts';

export interface SecretRow {
  readonly name: string;
  readonly kind: 'certificate' | 'roots' | 'other';
  readonly subject: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

export const secretColumns: readonly Column<SecretRow>[] = [
  { title: 'NAME', value: (r) => r.name },
  { title: 'KIND', value: (r) => r.kind },
  { title: 'SUBJECT', value: (r) => r.subject },
  { title: 'SERIAL', value: (r) => r.serial },
  { title: 'NOT BEFORE', value: (r) => r.notBefore },
  { title: 'NOT AFTER', value: (r) => r.notAfter },
];

/** One row for each certificate: of a chain the leaf, of a bundle each root. */
export function secretRows(dump: unknown): SecretRow[] {
  return resourcesOf(dump, 'SecretsConfigDump', 'dynamic_active_secrets', 'secret').flatMap((secret): SecretRow[] => {
    const name = textAt(secret, 'name');
    const [leaf] = certificates(at(secret, 'tls_certificate', 'certificate_chain'));
    if (leaf !== undefined) return [{ name, kind: 'certificate', ...facts(leaf) }];
    const roots = certificates(at(secret, 'validation_context', 'trusted_ca'));
    if (roots.length > 0) return roots.map((root) => ({ name, kind: 'roots', ...facts(root) }));
    return [{ name, kind: 'other', subject: '', serial: '', notBefore: '', notAfter: '' }];
  });
}

function certificates(source: unknown): X509Certificate[] {
  const text = textAt(source, 'inline_string') || Buffer.from(textAt(source, 'inline_bytes'), 'base64').toString('utf8');
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((pem) => new X509Certificate(pem));
}

function facts(certificate: X509Certificate): Pick<SecretRow, 'subject' | 'serial' | 'notBefore' | 'notAfter'> {
  return {
    subject: certificate.subjectAltName ?? certificate.subject.replaceAll('\n', ', '),
    serial: certificate.serialNumber.toLowerCase(),
    notBefore: new Date(certificate.validFrom).toISOString(),
    notAfter: new Date(certificate.validTo).toISOString(),
  };
}
