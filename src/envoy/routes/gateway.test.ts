import { describe, expect, it } from 'vitest';
import type { Server } from '../../apis/gateway.ts';
import { defaultMeshConfig } from '../../apis/mesh-config.ts';
import { objectKey } from '../../apis/object.ts';
import type { HttpRouteSpec, MeshVirtualService } from '../../mesh/model.ts';
import { mergeGateways, serversByRouteName } from '../listeners/gateway-servers.ts';
import { buildGatewayRoute } from './gateway.ts';

const virtualService = (name: string, hosts: string[], http: HttpRouteSpec[], namespace = 'ns'): MeshVirtualService => ({
  object: objectKey('VirtualService', namespace, name),
  name,
  namespace,
  hosts,
  gateways: ['ns/g'],
  exportTo: ['*'],
  http,
});

const to = (host: string): NonNullable<HttpRouteSpec['route']> => [{ destination: { host, port: { number: 80 } } }];
const under = (prefix: string, host: string): HttpRouteSpec => ({ match: [{ uri: { prefix } }], route: to(host) });

function table(servers: Server[], virtualServices: MeshVirtualService[]) {
  const gateway = { object: objectKey('Gateway', 'ns', 'g'), key: 'ns/g', name: 'g', namespace: 'ns', spec: { servers } };
  const merged = mergeGateways([{ gateway, bindPort: (port) => port + 8000 }], '0.0.0.0');
  const [entry] = serversByRouteName(merged);
  const [routeName = '', bound = []] = entry ?? [];
  return buildGatewayRoute({
    routeName,
    servers: bound,
    virtualServices: (key) => (key === 'ns/g' ? virtualServices : []),
    context: { mesh: defaultMeshConfig, source: { labels: {}, namespace: 'ns' }, service: () => undefined, rule: () => undefined },
  });
}

const server = (...hosts: string[]): Server => ({ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts });

const brief = (built: ReturnType<typeof table>) =>
  built.virtualHosts.map(({ name, domains, routes, requireTls }) => ({
    name,
    domains,
    to: routes.map(({ action }) =>
      action.case === 'route' && action.value.clusterSpecifier.case === 'cluster' ? action.value.clusterSpecifier.value : action.case,
    ),
    tls: requireTls,
  }));

describe('the table of a gateway', () => {
  it('has the narrower of the hosts that Gateway and VirtualService share', () => {
    const services = [
      virtualService('a', ['a.example', 'elsewhere.test'], [{ route: to('a') }]),
      virtualService('b', ['*.b.example'], [{ route: to('b') }]),
    ];
    expect(brief(table([server('*.example', 'x.b.example')], services))).toEqual([
      { name: '*.b.example:80', domains: ['*.b.example', 'x.b.example'], to: ['outbound|80||b'], tls: 0 },
      { name: 'a.example:80', domains: ['a.example'], to: ['outbound|80||a'], tls: 0 },
    ]);
    expect(table([server('*')], services).name).toBe('http.8080');
  });

  it('takes only VirtualServices of the namespace that the host names', () => {
    const services = [
      virtualService('mine', ['a.example'], [{ route: to('a') }]),
      virtualService('theirs', ['b.example'], [{ route: to('b') }], 'other'),
    ];
    expect(brief(table([server('./*')], services)).map(({ name }) => name)).toEqual(['a.example:80']);
    expect(brief(table([server('other/*')], services)).map(({ name }) => name)).toEqual(['b.example:80']);
  });

  it('joins VirtualServices of one host, what takes everything last', () => {
    const services = [
      virtualService('a', ['a.example'], [under('/x', 'x'), { route: to('rest') }]),
      virtualService('b', ['a.example'], [under('/y', 'y')]),
    ];
    expect(brief(table([server('*')], services))).toEqual([
      { name: 'a.example:80', domains: ['a.example'], to: ['outbound|80||x', 'outbound|80||y', 'outbound|80||rest'], tls: 0 },
    ]);
  });

  it('redirects to HTTPS, hosts without routes too', () => {
    const redirecting = { ...server('a.example', 'ns/b.example'), tls: { httpsRedirect: true } };
    expect(brief(table([redirecting], [virtualService('a', ['a.example'], [{ route: to('a') }])]))).toEqual([
      { name: 'a.example:80', domains: ['a.example'], to: ['outbound|80||a'], tls: 2 },
      { name: 'b.example:80', domains: ['b.example'], to: [], tls: 2 },
    ]);
  });

  it('answers 404 where nothing is bound', () => {
    const built = table([server('*')], []);
    expect(built.virtualHosts).toMatchObject([
      { name: 'blackhole', domains: ['*'], routes: [{ action: { case: 'directResponse', value: { status: 404 } } }] },
    ]);
  });
});
