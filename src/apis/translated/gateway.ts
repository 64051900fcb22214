/** What the translators read of a Gateway. A path stands for everything below it; `=` lists the values that are read. */
export const translatedGateway: readonly string[] = [
  'spec.selector',
  'spec.servers[].name',
  'spec.servers[].port',
  'spec.servers[].hosts',
  'spec.servers[].bind',
  'spec.servers[].tls.mode=SIMPLE|MUTUAL|OPTIONAL_MUTUAL|ISTIO_MUTUAL',
  'spec.servers[].tls.credentialName',
  'spec.servers[].tls.httpsRedirect',
  'spec.servers[].tls.subjectAltNames',
  'spec.servers[].tls.minProtocolVersion',
  'spec.servers[].tls.maxProtocolVersion',
  'spec.servers[].tls.cipherSuites',
  'spec.servers[].tls.ecdhCurves',
  'spec.servers[].tls.verifyCertificateSpki',
  'spec.servers[].tls.verifyCertificateHash',
];
