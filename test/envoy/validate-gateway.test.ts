/** Envoy itself reads what the gateway translators build. */
import { beforeAll, describe, expect, it } from 'vitest';
import { defaultMeshConfig } from '../../src/apis/mesh-config.ts';
import type { GatewaySpec } from '../../src/apis/gateway.ts';
import { objectKey } from '../../src/apis/object.ts';
import { envoyBinary } from '../../src/cli/download/envoy.ts';
import { buildGatewayListeners } from '../../src/envoy/listeners/gateway.ts';
import { mergeGateways } from '../../src/envoy/listeners/gateway-servers.ts';
import { validateConfig } from './harness/validate.ts';

const spec: GatewaySpec = {
  servers: [
    { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'], tls: { httpsRedirect: true } },
    {
      port: { number: 443, name: 'a', protocol: 'HTTPS' },
      hosts: ['a.example', '*.b.example'],
      tls: { mode: 'SIMPLE', credentialName: 'a' },
    },
    {
      port: { number: 443, name: 'c', protocol: 'HTTPS' },
      hosts: ['c.example'],
      tls: {
        mode: 'MUTUAL',
        credentialName: 'c',
        subjectAltNames: ['spiffe://x/y', 'client.example', '10.0.0.1'],
        minProtocolVersion: 'TLSV1_2',
        cipherSuites: ['ECDHE-ECDSA-AES128-GCM-SHA256'],
      },
    },
    {
      port: { number: 8443, name: 'd', protocol: 'HTTPS' },
      hosts: ['*'],
      tls: { mode: 'OPTIONAL_MUTUAL', credentialNames: ['rsa', 'ecdsa'] },
    },
    { port: { number: 15443, name: 'e', protocol: 'HTTPS' }, hosts: ['*'], tls: { mode: 'ISTIO_MUTUAL' } },
  ],
};

let envoy = '';
beforeAll(async () => {
  envoy = await envoyBinary();
});

describe('Envoy accepts', () => {
  it('HTTP and every mode of HTTPS', async () => {
    const gateway = { object: objectKey('Gateway', 'ns', 'g'), key: 'ns/g', name: 'g', namespace: 'ns', spec };
    const merged = mergeGateways([{ gateway, bindPort: (port) => port + 10_000 }], '0.0.0.0');
    const { resources } = buildGatewayListeners({ merged, policies: [], mesh: { ...defaultMeshConfig, accessLogFile: '/dev/stdout' } });
    expect(resources.map(({ name }) => name)).toEqual(['0.0.0.0_10080', '0.0.0.0_10443', '0.0.0.0_18443', '0.0.0.0_25443']);
    expect(await validateConfig(envoy, { listeners: resources, clusters: [] })).toEqual({
      accepted: true,
      output: expect.stringContaining('OK'),
    });
  });
});
