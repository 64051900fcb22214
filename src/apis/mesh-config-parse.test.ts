import { describe, expect, it } from 'vitest';
import { defaultMeshConfig } from './mesh-config.ts';
import { meshConfigOf, parseMeshConfig } from './mesh-config-parse.ts';

describe('parseMeshConfig', () => {
  it('resolves the defaults around what is set', () => {
    const { config, problems, valid } = parseMeshConfig(
      'trustDomain: example.org\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\ndefaultConfig: {proxyMetadata: {A: b}}\n',
      { file: 'mesh.yaml' },
    );
    expect(problems).toEqual([]);
    expect(valid).toBe(true);
    expect(config).toEqual({
      ...defaultMeshConfig,
      trustDomain: 'example.org',
      outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
      defaultConfig: { ...defaultMeshConfig.defaultConfig, proxyMetadata: { A: 'b' } },
    });
    expect(config.rootNamespace).toBe('istio-system');
    expect(config.defaultConfig.discoveryAddress).toBe('istiod.istio-system.svc:15012');
  });

  it('takes an empty text as all defaults', () => {
    expect(parseMeshConfig('', {})).toEqual({ config: defaultMeshConfig, problems: [], valid: true });
  });

  it.each([
    ['connectTimeout: soon', 'connectTimeout', 'Invalid'],
    ['trustDomain: "a b"', 'trustDomain', 'Invalid'],
    ['outboundTrafficPolicy: {mode: ALLOW_SOME}', 'outboundTrafficPolicy.mode', 'Invalid'],
    ['defaultConfig: {discoveryAddress: nowhere}', 'defaultConfig.discoveryAddress', 'Invalid'],
    ['[1]', '', 'Invalid'],
    ['a: "', '', 'Invalid'],
  ])('refuses %s', (text, path, reason) => {
    const { config, problems, valid } = parseMeshConfig(text, {});
    expect(valid).toBe(false);
    expect(config).toBe(defaultMeshConfig);
    expect(problems.filter((problem) => problem.severity === 'error').map((problem) => [problem.path, problem.reason])).toContainEqual([
      path,
      reason,
    ]);
  });

  it('tells a misspelt field from one that has no effect yet', () => {
    const { problems, valid } = parseMeshConfig('enableAutoMTLS: false\nextensionProviders: []\ndefaultConfig: {tracing: {}}\n', {});
    expect(valid).toBe(true);
    expect(problems.map((problem) => [problem.path, problem.reason, problem.message])).toEqual([
      ['enableAutoMTLS', 'UnknownField', 'unknown field "enableAutoMTLS" is ignored; did you mean "enableAutoMtls"?'],
      ['extensionProviders', 'NotTranslated', 'is not translated yet: it has no effect'],
      ['defaultConfig.tracing', 'NotTranslated', 'is not translated yet: it has no effect'],
    ]);
  });

  it('reads the ConfigMap and names the path in it', () => {
    const { problems } = meshConfigOf({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      name: 'istio',
      namespace: 'istio-system',
      labels: {},
      annotations: {},
      spec: { data: { mesh: 'accessLogFile: 5' } },
      origin: {},
    });
    expect(problems.map((problem) => [problem.object, problem.path])).toEqual([
      ['ConfigMap/istio-system/istio', 'data.mesh: accessLogFile'],
    ]);
  });
});
