import { describe, expect, it } from 'vitest';
import { service } from '../testing/model.ts';
import { virtualHostDomains } from './domains.ts';
import { buildPortTable } from './table.ts';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';

const reviews = service('reviews', { addresses: ['10.0.0.1', '2001:db8::1', '10.1.0.0/16', '0.0.0.0'] });
const domains = (dnsDomain: string, over: Partial<Parameters<typeof virtualHostDomains>[0]> = {}) =>
  virtualHostDomains({ service: reviews, port: 9080, dnsDomain, withPort: false, ...over });

describe('the domains of a service', () => {
  it('have the short names of its own namespace', () => {
    expect(domains('default.svc.cluster.local')).toEqual([
      'reviews.default.svc.cluster.local',
      'reviews.default.svc.cluster.local.',
      'reviews',
      'reviews.default.svc',
      'reviews.default',
      '10.0.0.1',
      '[2001:db8::1]',
    ]);
  });

  it('have the namespace elsewhere', () => {
    expect(domains('other.svc.cluster.local').slice(2)).toEqual(['reviews.default', 'reviews.default.svc', '10.0.0.1', '[2001:db8::1]']);
  });

  it('have no short names in a foreign cluster domain', () => {
    expect(domains('default.svc.example.org').slice(2)).toEqual(['10.0.0.1', '[2001:db8::1]']);
  });

  it('cover the pods of a headless service', () => {
    const headless = service('db', { resolution: 'passthrough', addresses: [] });
    expect(domains('other.svc.cluster.local', { service: headless }).slice(4)).toEqual([
      '*.db.default.svc.cluster.local',
      '*.db.default.svc.cluster.local.',
      '*.db.default',
      '*.db.default.svc',
    ]);
  });

  it('have the port for the HTTP proxy, whose table does not ignore it; without it they mean port 80', () => {
    const of = (port: number) => domains('x.svc.y', { port, withPort: true, service: { ...reviews, addresses: ['::1'] } });
    expect(of(9080)).toEqual(['reviews.default.svc.cluster.local:9080', 'reviews.default.svc.cluster.local.:9080', '[::1]:9080']);
    expect(of(80).slice(0, 2)).toEqual(['reviews.default.svc.cluster.local', 'reviews.default.svc.cluster.local:80']);
    const ignores = (name: string) => buildPortTable(name, defaultMeshConfig).ignorePortInHostMatching;
    expect([ignores('http_proxy'), ignores('80')]).toEqual([false, true]);
  });
});
