import { policyTargetReference, policyWorkloadSelector } from './common.ts';
import { extensionKind, trafficSelectors, wasmModule } from './extension.ts';
import type { ConfigObject } from './object.ts';
import { extensionModuleUrl, selectorOrTargetRefs, wasmOrLua } from './rules.ts';
import { atMostOneOf, int32, list, message, nullable, oneOfWords, rules, type Spec, string } from './schema.ts';

export const trafficExtensionSpec = message(
  {
    lua: message({ inlineCode: string({ maxLength: 65536, minLength: 1 }) }, ['inlineCode']),
    match: trafficSelectors,
    phase: oneOfWords(['UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS']),
    priority: nullable(int32()),
    selector: policyWorkloadSelector,
    targetRefs: list(policyTargetReference, { maxItems: 16 }),
    wasm: message(wasmModule(extensionModuleUrl), ['url']),
  },
  [],
  { ...rules(selectorOrTargetRefs, wasmOrLua), ...atMostOneOf('wasm', 'lua') },
);
export type TrafficExtensionSpec = Spec<typeof trafficExtensionSpec>;
export type TrafficExtension = ConfigObject<'TrafficExtension', TrafficExtensionSpec>;

export const trafficExtension = extensionKind({
  kind: 'TrafficExtension',
  plural: 'trafficextensions',
  schema: trafficExtensionSpec,
  specRequired: true,
});
