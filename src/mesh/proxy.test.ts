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
});
