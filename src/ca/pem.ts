import { X509Certificate } from 'node:crypto';
import { CredentialFault, textOf } from '../identity/fault.ts';

const block = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s]*?)-----END \1-----/g;

/** One PEM block of 64-column lines, with a line end. */
export function toPem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64');
  return `-----BEGIN ${label}-----\n${base64.replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;
}

/** DER of all blocks with one of the labels, in order; text between blocks is ignored, as everywhere. */
export function pemBlocks(pem: string, ...labels: readonly string[]): Buffer[] {
  return [...pem.matchAll(block)].filter(([, label = '']) => labels.includes(label)).map(([, , body = '']) => Buffer.from(body, 'base64'));
}

/** All certificates of a PEM text, at least one. `where` is the file or object for the message of the CredentialFault. */
export function readCertificates(pem: string, where: string): [X509Certificate, ...X509Certificate[]] {
  const [first, ...rest] = pemBlocks(pem, 'CERTIFICATE', 'TRUSTED CERTIFICATE', 'X509 CERTIFICATE').map((der, i) => {
    try {
      return new X509Certificate(der);
    } catch (error) {
      throw new CredentialFault('certificate', `${where}: certificate ${i + 1} is broken: ${textOf(error)}`, { cause: error });
    }
  });
  if (first === undefined) throw new CredentialFault('certificate', `${where} holds no PEM certificate ("-----BEGIN CERTIFICATE-----")`);
  return [first, ...rest];
}

/** PEM of a certificate in one form, whatever it was read from. */
export function certificatePem(certificate: X509Certificate): string {
  return toPem('CERTIFICATE', certificate.raw);
}
