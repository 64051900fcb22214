/** TLS settings of servers: of Gateways and of Sidecar ingress. */
import { indexPath } from '../../lib/path.ts';
import type { ServerTLSSettings } from '../gateway.ts';
import { quote, type Report } from '../structure.ts';

/** Names that Envoy's BoringSSL takes for TLS 1.2 and below. */
const cipherSuites = new Set([
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-PSK-AES128-CBC-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'ECDHE-PSK-AES256-CBC-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
  'PSK-AES128-CBC-SHA',
  'PSK-AES256-CBC-SHA',
  'DES-CBC3-SHA',
]);

export function checkServerTls(tls: ServerTLSSettings, path: string, report: Report): void {
  checkCipherSuites(tls.cipherSuites ?? [], `${path}.cipherSuites`, report);
  const { mode = 'PASSTHROUGH' } = tls;
  switch (mode) {
    case 'ISTIO_MUTUAL':
      return checkNoCertificates(tls, path, report);
    case 'PASSTHROUGH':
    case 'AUTO_PASSTHROUGH':
      return warnOfCertificates(tls, mode, path, report);
    default:
      return checkCertificates(tls, mode, path, report);
  }
}

function checkCipherSuites(names: readonly string[], path: string, report: Report): void {
  const seen = new Set<string>();
  names.forEach((name, index) => {
    const at = indexPath(path, index);
    if (!cipherSuites.has(name)) report(at, `is ignored: ${quote(name)} is no cipher suite that Envoy knows`, 'Invalid', 'warning');
    else if (seen.has(name)) report(at, `repeats ${name}`, 'Invalid', 'warning');
    seen.add(name);
  });
}

const has = (text: string | undefined) => (text ?? '') !== '';

const certificateFields = ['serverCertificate', 'privateKey', 'caCertificates', 'caCrl', 'credentialName'] as const;

function checkNoCertificates(tls: ServerTLSSettings, path: string, report: Report): void {
  for (const field of certificateFields) {
    if (has(tls[field])) report(`${path}.${field}`, "must not be set with mode ISTIO_MUTUAL, which takes the workload's own certificate");
  }
  if ((tls.credentialNames ?? []).length > 0) report(`${path}.credentialNames`, 'must not be set with mode ISTIO_MUTUAL');
  if ((tls.tlsCertificates ?? []).length > 0) report(`${path}.tlsCertificates`, 'must not be set with mode ISTIO_MUTUAL');
}

function warnOfCertificates(tls: ServerTLSSettings, mode: string, path: string, report: Report): void {
  for (const field of certificateFields) {
    if (has(tls[field])) report(`${path}.${field}`, `is ignored: mode ${mode} does not use certificates`, 'Invalid', 'warning');
  }
}

function checkCertificates(tls: ServerTLSSettings, mode: string, path: string, report: Report): void {
  const inline = has(tls.serverCertificate) || has(tls.privateKey);
  const sources = [has(tls.credentialName), (tls.credentialNames ?? []).length > 0, (tls.tlsCertificates ?? []).length > 0, inline].filter(
    Boolean,
  ).length;
  if (sources > 1)
    report(path, 'must set only one of credentialName, credentialNames, tlsCertificates and serverCertificate with privateKey');
  if (mode === 'SIMPLE' && has(tls.caCrl)) report(`${path}.caCrl`, 'must not be set with mode SIMPLE, which verifies no client');
  if (has(tls.credentialName) || (tls.credentialNames ?? []).length > 0) return;
  const certificates = tls.tlsCertificates ?? [];
  if (certificates.length > 0) {
    certificates.forEach((certificate, index) => {
      const at = indexPath(`${path}.tlsCertificates`, index);
      if (!has(certificate.serverCertificate)) report(`${at}.serverCertificate`, 'is required');
      if (!has(certificate.privateKey)) report(`${at}.privateKey`, 'is required');
    });
  } else {
    if (!has(tls.serverCertificate)) report(`${path}.serverCertificate`, `is required for mode ${mode} without credentialName`);
    if (!has(tls.privateKey)) report(`${path}.privateKey`, `is required for mode ${mode} without credentialName`);
  }
  if (mode !== 'SIMPLE' && !has(tls.caCertificates)) {
    report(`${path}.caCertificates`, `is required for mode ${mode} without credentialName`);
  }
}
