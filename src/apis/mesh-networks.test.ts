import { describe, expect, it } from 'vitest';
import type { ConfigMap } from './config-map.ts';
import { meshNetworksOf } from './mesh-networks.ts';

const read = (meshNetworks?: string) => {
  const object = {
    kind: 'ConfigMap',
    apiVersion: 'v1',
    namespace: 'istio-system',
    name: 'istio',
    labels: {},
    annotations: {},
    origin: { resourceVersion: '7' },
    spec: { data: meshNetworks === undefined ? {} : { meshNetworks } },
  } satisfies ConfigMap;
  const { networks, problems, valid } = meshNetworksOf(object);
  return { networks, valid, problems: problems.map(({ path, severity }) => `${severity} ${path}`) };
};

describe('MeshNetworks', () => {
  it('are read from their key, and are none without it', () => {
    expect(read()).toEqual({ networks: {}, valid: true, problems: [] });
    expect(read('networks: { n1: { endpoints: [{ fromCidr: 10.0.0.0/8 }], gateways: [{ address: 192.0.2.1, port: 443 }] } }')).toEqual({
      networks: { networks: { n1: { endpoints: [{ fromCidr: '10.0.0.0/8' }], gateways: [{ address: '192.0.2.1', port: 443 }] } } },
      valid: true,
      problems: [],
    });
  });

  it.each([
    ['networks: [', 'error data.meshNetworks'],
    ['- a', 'error data.meshNetworks'],
    ['networks: { n1: { endpoints: [{ fromCidr: 10.0.0.0/40 }] } }', 'error data.meshNetworks: networks.n1.endpoints[0].fromCidr'],
    ['networks: { n1: { gateways: [{ address: 192.0.2.1 }] } }', 'error data.meshNetworks: networks.n1.gateways[0].port'],
    ['networks: { n1: { gateways: [{ address: 192.0.2.1, port: http }] } }', 'error data.meshNetworks: networks.n1.gateways[0].port'],
  ])('are refused as a whole: %s', (text, problem) => {
    const { networks, valid, problems } = read(text);
    expect({ networks, valid }).toEqual({ networks: {}, valid: false });
    expect(problems).toContain(problem);
  });

  it('tell of a gateway that is a name, and of fields that nobody knows', () => {
    expect(read('networks: { n1: { gateways: [{ address: lb.example.com, port: 443 }], endpoint: [] } }')).toMatchObject({
      valid: true,
      problems: ['warning data.meshNetworks: networks.n1.endpoint', 'warning data.meshNetworks: networks.n1.gateways[0].address'],
    });
  });
});
