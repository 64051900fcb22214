import { describe, expect, it } from 'vitest';
import { trimConfigMap, trimNode, trimService } from './trim.ts';

const metadata = { name: 'a', resourceVersion: '1', managedFields: [{}] };
const kept = { name: 'a', resourceVersion: '1' };

describe('what is kept', () => {
  it('of a node: where it is reached from elsewhere', () => {
    const addresses = [
      { type: 'InternalIP', address: '10.0.0.1' },
      { type: 'ExternalIP', address: '192.0.2.1' },
    ];
    const node = {
      metadata: { ...metadata, labels: { zone: 'a' } },
      spec: { podCIDR: 'x' },
      status: { addresses, images: [{ names: ['x'] }] },
    };
    expect(trimNode(node)).toEqual({
      metadata: { ...kept, labels: { zone: 'a' } },
      status: { addresses: [{ type: 'ExternalIP', address: '192.0.2.1' }] },
    });
    expect(trimNode({ metadata, status: { addresses: addresses.slice(0, 1), conditions: [{}] } })).toEqual({ metadata: kept });
  });

  it('of a Service: the addresses of its load balancer', () => {
    const ingress = [{ ip: '192.0.2.1', ipMode: 'VIP', ports: [] }, { hostname: 'lb.example.com' }];
    expect(trimService({ metadata, spec: { ports: [] }, status: { loadBalancer: { ingress }, conditions: [] } })).toEqual({
      metadata: kept,
      spec: { ports: [] },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example.com' }] } },
    });
    expect(trimService({ metadata, spec: {}, status: { loadBalancer: {} } })).toEqual({ metadata: kept, spec: {} });
  });

  it('of the mesh’s ConfigMap: its two keys', () => {
    expect(trimConfigMap({ metadata, data: { mesh: 'a', meshNetworks: 'b', other: 'c' } })).toEqual({
      metadata: kept,
      data: { mesh: 'a', meshNetworks: 'b' },
    });
  });
});
