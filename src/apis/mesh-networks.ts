/** MeshNetworks: which endpoints are on which network, and by which gateways others reach them. Key `meshNetworks` of ConfigMap `istio`. */
import ipaddr from 'ipaddr.js';
import { fieldPath, indexPath } from '../lib/path.ts';
import type { ConfigMap } from './config-map.ts';
import { keyOf } from './object.ts';
import { originOf } from './parse.ts';
import type { Problem } from './problem.ts';
import { list, map, message, type Spec, string, uint32 } from './schema.ts';
import { quote, readStructure, type Report } from './structure.ts';
import { readYamlMap } from './yaml-text.ts';

const meshNetworks = message({
  networks: map(
    message({
      /** One of the two: addresses of a range, or all of a cluster. */
      endpoints: list(message({ fromCidr: string(), fromRegistry: string() })),
      /** An address, or the host of a Service in the clusters of the network. */
      gateways: list(message({ address: string(), registryServiceName: string(), port: uint32(), locality: string() })),
    }),
  ),
});
export type MeshNetworks = Spec<typeof meshNetworks>;

export const noNetworks: MeshNetworks = {};

export interface ParsedMeshNetworks {
  readonly networks: MeshNetworks;
  readonly problems: readonly Problem[];
  /** False: something is an error, and whoever has an earlier version keeps it. */
  readonly valid: boolean;
}

export function meshNetworksOf(object: ConfigMap): ParsedMeshNetworks {
  const problems: Problem[] = [];
  const report: Report = (path, text, reason = 'Invalid', severity = 'error') => {
    const at = `data.meshNetworks${path === '' ? '' : `: ${path}`}`;
    problems.push({ object: keyOf(object), path: at, reason, severity, message: text, origin: originOf(object.origin, at) });
  };
  const value = readYamlMap(object.spec.data?.['meshNetworks'] ?? '', report);
  const networks = value === undefined ? undefined : (readStructure(meshNetworks, value, '', 'report', report) as MeshNetworks | undefined);
  if (networks !== undefined) check(networks, report);
  const valid = networks !== undefined && !problems.some(({ severity }) => severity === 'error');
  return { networks: valid ? networks : noNetworks, problems, valid };
}

function check({ networks = {} }: MeshNetworks, report: Report): void {
  for (const [name, { endpoints = [], gateways = [] }] of Object.entries(networks)) {
    const path = fieldPath('networks', name);
    for (const [i, { fromCidr = '' }] of endpoints.entries()) {
      if (fromCidr !== '' && !ipaddr.isValidCIDR(fromCidr))
        report(`${indexPath(`${path}.endpoints`, i)}.fromCidr`, `must be a range such as 10.0.0.0/8; found ${quote(fromCidr)}`);
    }
    for (const [i, { address = '', port = 0 }] of gateways.entries()) {
      const at = indexPath(`${path}.gateways`, i);
      if (port < 1 || port > 65535) report(`${at}.port`, `must be a port between 1 and 65535; found ${port}`);
      if (address !== '' && !ipaddr.isValid(address))
        report(
          `${at}.address`,
          `names are not resolved here, so that nothing goes by ${quote(address)}; give addresses`,
          'NotTranslated',
          'warning',
        );
    }
  }
}
