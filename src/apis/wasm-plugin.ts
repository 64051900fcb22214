import { policyTargetReference, policyWorkloadSelector } from './common.ts';
import { extensionKind, trafficSelectors, wasmModule } from './extension.ts';
import type { ConfigObject } from './object.ts';
import { selectorOrTargets } from './rules.ts';
import { int32, list, message, nullable, oneOfWords, rules, type Spec } from './schema.ts';

export const wasmPluginSpec = message(
  {
    ...wasmModule(),
    match: trafficSelectors,
    phase: oneOfWords(['UNSPECIFIED_PHASE', 'AUTHN', 'AUTHZ', 'STATS']),
    priority: nullable(int32()),
    selector: policyWorkloadSelector,
    targetRef: policyTargetReference,
    targetRefs: list(policyTargetReference, { maxItems: 16 }),
  },
  ['url'],
  rules(selectorOrTargets),
);
export type WasmPluginSpec = Spec<typeof wasmPluginSpec>;
export type WasmPlugin = ConfigObject<'WasmPlugin', WasmPluginSpec>;

export const wasmPlugin = extensionKind({ kind: 'WasmPlugin', plural: 'wasmplugins', schema: wasmPluginSpec, specRequired: true });
