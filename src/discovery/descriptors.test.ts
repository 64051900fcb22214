import { expect, test } from 'vitest';
import { readRegistry, readServices } from './descriptors.ts';

test('descriptors are found beside the package', () => {
  expect(readRegistry().getMessage('envoy.config.cluster.v3.Cluster')?.typeName).toBe('envoy.config.cluster.v3.Cluster');
  expect(readServices().certificates.CreateCertificate.path).toBe('/istio.v1.auth.IstioCertificateService/CreateCertificate');
});
