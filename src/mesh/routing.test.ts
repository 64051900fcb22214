import { expect, it } from 'vitest';
import { defaultMeshConfig } from '../apis/mesh-config.ts';
import type { VirtualService } from '../apis/virtual-service.ts';
import { meshVirtualService } from './routing.ts';

it('resolves the short host of every destination, mirrors too', () => {
  const object: VirtualService = {
    kind: 'VirtualService',
    apiVersion: 'networking.istio.io/v1',
    name: 'reviews',
    namespace: 'shop',
    labels: {},
    annotations: {},
    origin: { file: 'a.yaml', line: 1 },
    spec: {
      hosts: ['reviews'],
      http: [
        {
          route: [{ destination: { host: 'reviews', subset: 'v1' } }],
          mirror: { host: 'reviews', subset: 'v2' },
          mirrors: [{ destination: { host: 'copies.audit' }, percentage: { value: 10 } }],
        },
      ],
    },
  };
  expect(meshVirtualService(object, defaultMeshConfig)).toMatchObject({
    hosts: ['reviews.shop.svc.cluster.local'],
    http: [
      {
        route: [{ destination: { host: 'reviews.shop.svc.cluster.local', subset: 'v1' } }],
        mirror: { host: 'reviews.shop.svc.cluster.local', subset: 'v2' },
        mirrors: [{ destination: { host: 'copies.audit' }, percentage: { value: 10 } }],
      },
    ],
  });
});
