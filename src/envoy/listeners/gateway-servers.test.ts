import { describe, expect, it } from 'vitest';
import type { GatewaySpec, Server } from '../../apis/gateway.ts';
import { objectKey } from '../../apis/object.ts';
import type { MeshGateway } from '../../mesh/model.ts';
import { mergeGateways, serversByRouteName } from './gateway-servers.ts';

const gateway = (name: string, ...servers: Server[]): MeshGateway => {
  const spec: GatewaySpec = { servers };
  return { object: objectKey('Gateway', 'ns', name), key: `ns/${name}`, name, namespace: 'ns', spec };
};

const http = (number: number, ...hosts: string[]): Server => ({ port: { number, name: 'http', protocol: 'HTTP' }, hosts });
const https = (number: number, name: string, ...hosts: string[]): Server => ({
  port: { number, name, protocol: 'HTTPS' },
  hosts,
  tls: { mode: 'SIMPLE', credentialName: 'c' },
});

const merge = (...gateways: MeshGateway[]) =>
  mergeGateways(
    gateways.map((g) => ({ gateway: g, bindPort: (port) => (port === 80 ? 8080 : port) })),
    '0.0.0.0',
  );

const told = ({ problems }: ReturnType<typeof merge>) => problems.map(({ object, path, reason }) => `${reason} ${object} ${path}`);

describe('mergeGateways', () => {
  it('joins plain HTTP servers of a port in one table, named by the port that the proxy listens at', () => {
    const merged = merge(gateway('a', http(80, 'a.example')), gateway('b', http(80, './b.example', 'other/c.example', '*/d.example')));
    expect(merged.problems).toEqual([]);
    expect(merged.ports).toMatchObject([{ bind: '0.0.0.0', port: 8080, kind: 'http', routeName: 'http.8080' }]);
    const servers = serversByRouteName(merged).get('http.8080') ?? [];
    expect(servers.map(({ gateway: { name }, hosts }) => [name, hosts])).toEqual([
      ['a', ['a.example']],
      ['b', ['ns/b.example', 'other/c.example', 'd.example']],
    ]);
  });

  it('gives each HTTPS server a table and its names, and none where it takes any', () => {
    const merged = merge(gateway('a', https(443, 'x', 'B.example', 'ns/a.example'), https(443, 'y', '*')));
    expect(merged.ports).toMatchObject([
      {
        kind: 'https',
        servers: [
          { routeName: 'https.443.x.a.ns', serverNames: ['a.example', 'b.example'] },
          { routeName: 'https.443.y.a.ns', serverNames: [] },
        ],
      },
    ]);
    expect([...serversByRouteName(merged).keys()]).toEqual(['https.443.x.a.ns', 'https.443.y.a.ns']);
  });

  it('binds to an address of its own, with a table of its own', () => {
    const merged = merge(gateway('a', http(80, '*'), { ...http(80, '*'), bind: '10.0.0.1' }));
    expect(merged.ports.map((p) => [p.bind, p.kind === 'http' && p.routeName])).toEqual([
      ['0.0.0.0', 'http.8080'],
      ['10.0.0.1', 'http.8080.10.0.0.1'],
    ]);
  });

  it('keeps the older of two servers that cannot share', () => {
    expect(told(merge(gateway('a', http(443, '*')), gateway('b', https(443, 'x', '*'))))).toEqual([
      'Conflict Gateway/ns/b spec.servers[0].port',
    ]);
    expect(told(merge(gateway('a', https(443, 'x', 'a.example')), gateway('b', https(443, 'x', 'a.example'))))).toEqual([
      'Conflict Gateway/ns/b spec.servers[0].hosts',
    ]);
    expect(told(merge(gateway('a', https(443, 'x', 'a.example'), https(443, 'x', 'b.example'))))).toEqual([
      'Conflict Gateway/ns/a spec.servers[1].port.name',
    ]);
  });

  it('says what it leaves out', () => {
    const tls = (over: Server['tls']): Server => {
      const { tls: _, ...rest } = https(443, 'x', 'a.example');
      return over === undefined ? rest : { ...rest, tls: over };
    };
    const leftOut = (server: Server) => {
      const merged = merge(gateway('a', server));
      expect(merged.ports).toEqual([]);
      return told(merged);
    };
    expect(leftOut(tls(undefined))).toEqual(['Invalid Gateway/ns/a spec.servers[0].tls']);
    expect(leftOut(tls({}))).toEqual(['NotTranslated Gateway/ns/a spec.servers[0].tls.mode']);
    expect(leftOut(tls({ mode: 'SIMPLE' }))).toEqual(['Invalid Gateway/ns/a spec.servers[0].tls.credentialName']);
    expect(leftOut(tls({ mode: 'SIMPLE', serverCertificate: '/c', privateKey: '/k' }))).toEqual([
      'NotTranslated Gateway/ns/a spec.servers[0].tls',
    ]);
    expect(leftOut({ ...http(80, '*'), port: { number: 80, name: 'tcp', protocol: 'TCP' } })).toEqual([
      'NotTranslated Gateway/ns/a spec.servers[0].port.protocol',
    ]);
    expect(leftOut(https(443, 'x', '*-a.example'))).toEqual(['Invalid Gateway/ns/a spec.servers[0].hosts']);
  });
});
