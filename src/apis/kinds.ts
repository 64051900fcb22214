/** Every kind that is read, in one list: a later kind is one file and one line here. */
import { authorizationPolicy } from './authorization-policy.ts';
import { configMap } from './config-map.ts';
import { destinationRule } from './destination-rule.ts';
import { endpointSlice } from './endpoint-slice.ts';
import { envoyFilter } from './envoy-filter.ts';
import { gateway } from './gateway.ts';
import type { KindSchema } from './kind.ts';
import { kubernetesService } from './kubernetes-service.ts';
import { namespace } from './namespace.ts';
import { node } from './node.ts';
import { peerAuthentication } from './peer-authentication.ts';
import { pod } from './pod.ts';
import { requestAuthentication } from './request-authentication.ts';
import { secret } from './secret.ts';
import { serviceAccount } from './service-account.ts';
import { serviceEntry } from './service-entry.ts';
import { sidecar } from './sidecar.ts';
import { trafficExtension } from './traffic-extension.ts';
import { virtualService } from './virtual-service.ts';
import { wasmPlugin } from './wasm-plugin.ts';
import { workloadEntry } from './workload-entry.ts';

export const kinds = [
  kubernetesService,
  endpointSlice,
  pod,
  node,
  namespace,
  serviceAccount,
  secret,
  configMap,
  virtualService,
  destinationRule,
  gateway,
  serviceEntry,
  workloadEntry,
  sidecar,
  peerAuthentication,
  authorizationPolicy,
  requestAuthentication,
  envoyFilter,
  wasmPlugin,
  trafficExtension,
] as const satisfies readonly KindSchema[];

export type KindName = (typeof kinds)[number]['kind'];

const byGroupAndKind: ReadonlyMap<string, KindSchema> = new Map(
  kinds.map((kind): [string, KindSchema] => [`${kind.group}/${kind.kind}`, kind]),
);

/** The kind of an object by its `apiVersion` and `kind`; the version has to be one that is served. */
export function findKind(apiVersion: string, kind: string): KindSchema | undefined {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const found = byGroupAndKind.get(`${group}/${kind}`);
  return found?.versions.includes(apiVersion.slice(slash + 1)) === true ? found : undefined;
}
