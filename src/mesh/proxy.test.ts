import { describe, expect, it } from 'vitest';
import { parseProxy } from './proxy.ts';

const id = 'sidecar~10.0.0.1~page-1.shop~shop.svc.cluster.local';

describe('parseProxy', () => {
  it.each([
    ['3128', 3128],
    [3128, 3128],
    ['0', undefined],
    ['', undefined],
    ['65536', undefined],
    ['31.5', undefined],
    ['x', undefined],
    [{}, undefined],
    [true, undefined],
    [null, undefined],
    [undefined, undefined],
  ])('reads HTTP_PROXY_PORT %o as %o', (value, port) => {
    const proxy = parseProxy({ id, metadata: { HTTP_PROXY_PORT: value } });
    expect('invalid' in proxy ? proxy : proxy.httpProxyPort).toBe(port);
  });

  it.each([
    [{ DNS_CAPTURE: 'true' }, true],
    [{ DNS_CAPTURE: true }, true],
    [{ DNS_CAPTURE: '1' }, true],
    [{ ENABLE_DNS_SERVER: 'true' }, true],
    [{ DNS_CAPTURE: 'false' }, false],
    [{ DNS_CAPTURE: 'yes' }, false],
    [{ DNS_CAPTURE: {} }, false],
    [{}, false],
  ])('reads of metadata %o whether its agent answers DNS: %o', (metadata, nameTable) => {
    const proxy = parseProxy({ id, metadata });
    expect('invalid' in proxy ? proxy : proxy.nameTable).toBe(nameTable);
  });

  it.each([
    ['sidecar~10.0.0.1~page-1.shop~bank.svc.cluster.local', {}, 'shop'],
    ['sidecar~10.0.0.1~page-1.shop~bank.svc.cluster.local', { NAMESPACE: '' }, 'shop'],
    ['sidecar~10.0.0.1~page-1.v2.shop~', {}, 'shop'],
    ['sidecar~10.0.0.1~page-1.shop~shop.svc.cluster.local', { NAMESPACE: 'other' }, 'other'],
  ])(
    'takes the namespace of %s with metadata %o from what is checked against the proof, never from the domain',
    (who, metadata, namespace) => {
      const proxy = parseProxy({ id: who, metadata });
      expect('invalid' in proxy ? proxy : proxy.namespace).toBe(namespace);
    },
  );
});
