/** What WasmPlugin and TrafficExtension have in common: code that is loaded into the proxy, where, and in which order. */
import type { TSchema } from 'typebox';
import type { KindSchema } from './kind.ts';
import { inlineValueOnly, moduleUrl, type Rule } from './rules.ts';
import { anyMap, integer, list, message, oneOfWords, rules, string } from './schema.ts';

const listMap = (key: string) => ({ 'x-kubernetes-list-map-keys': [key], 'x-kubernetes-list-type': 'map' });

const vmConfig = message({
  env: list(
    message(
      {
        name: string({ maxLength: 256, minLength: 1 }),
        value: string({ maxLength: 2048 }),
        valueFrom: oneOfWords(['INLINE', 'HOST']),
      },
      ['name'],
      rules(inlineValueOnly),
    ),
    { maxItems: 256, ...listMap('name') },
  ),
});

/** A module and how it is fetched and run. `url` is a rule of its own: Istio's two kinds spell it differently in CEL. */
export const wasmModule = (url: Rule = moduleUrl) => ({
  failStrategy: oneOfWords(['FAIL_CLOSE', 'FAIL_OPEN', 'FAIL_RELOAD']),
  imagePullPolicy: oneOfWords(['UNSPECIFIED_POLICY', 'IfNotPresent', 'Always']),
  imagePullSecret: string({ maxLength: 253, minLength: 1 }),
  pluginConfig: anyMap(),
  pluginName: string({ maxLength: 256, minLength: 1 }),
  sha256: string({ pattern: '(^$|^[a-f0-9]{64}$)' }),
  type: oneOfWords(['UNSPECIFIED_PLUGIN_TYPE', 'HTTP', 'NETWORK']),
  url: string({ minLength: 1, ...rules(url) }),
  verificationKey: string(),
  vmConfig,
});

/** The traffic that an extension sees; all of it where there is no list. */
export const trafficSelectors = list(
  message({
    mode: oneOfWords(['UNDEFINED', 'CLIENT', 'SERVER', 'CLIENT_AND_SERVER']),
    ports: list(message({ number: integer({ minimum: 1, maximum: 65535 }) }, ['number']), listMap('number')),
  }),
);

type ExtensionKind<K extends string, S extends TSchema> = Pick<KindSchema<K, S>, 'kind' | 'plural' | 'schema'> &
  Partial<Pick<KindSchema, 'specRequired'>>;

/** A kind of extensions.istio.io. */
export function extensionKind<K extends string, S extends TSchema>(kind: ExtensionKind<K, S>): KindSchema<K, S> {
  return {
    ...kind,
    group: 'extensions.istio.io',
    versions: ['v1alpha1'],
    scope: 'Namespaced',
    body: 'spec',
    unknownFields: 'report',
    crd: {
      categories: ['istio-io', 'extensions-istio-io'],
      columns: [
        {
          name: 'Age',
          type: 'date',
          jsonPath: '.metadata.creationTimestamp',
          description: 'Time at which the API server created the object.',
        },
      ],
    },
  };
}
