/** Where a sidecar's requests go: VirtualServices, Sidecar scoping and which of several rules wins. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.js';
import type { Route } from '#gen/envoy/config/route/v3/route_components_pb.js';
import { translateFolder } from '../harness/translate.ts';
import { caseFile, caseNames } from './data.ts';

interface Case {
  readonly variant: 'virtualservice' | 'httproute';
  readonly proxy: {
    readonly id: string;
    readonly ipAddresses: readonly string[];
    readonly dnsDomain: string;
    readonly metadata: Record<string, string>;
  };
  readonly routeName: string;
  readonly expectedDomains: Readonly<Record<string, readonly string[] | null>>;
}

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'mizzen-sidecar-routes-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const cases = caseNames('sidecar-routes').map((name) => [name, JSON.parse(caseFile('sidecar-routes', name, 'case.json')) as Case] as const);

/** In Istio a Sidecar that imports one host gets the rule of a wildcard that covers it, served under the wildcard; here the rule is not imported. */
const differs = new Set(['non-service-wildcard-match-with-explicit-sidecar-virtualservice']);

// HTTPRoutes of the Gateway API wait for their conversion.
const known = cases.filter(([, { variant }]) => variant === 'virtualservice');

it.each(known.filter(([name]) => !differs.has(name)))('%s', async (name, given) => {
  expect(await domainsOf(name, given)).toEqual(given.expectedDomains);
});

it.each(known.filter(([name]) => differs.has(name)))('%s differs, and is to be moved above when it no longer does', async (name, given) => {
  expect(await domainsOf(name, given)).not.toEqual(given.expectedDomains);
});

async function domainsOf(name: string, { proxy, routeName, expectedDomains }: Case): Promise<Record<string, readonly string[] | null>> {
  const file = join(dir, `${name}.yaml`);
  writeFileSync(file, caseFile('sidecar-routes', name, 'config.yaml'));
  const { routes } = await translateFolder(file, {
    id: `sidecar~${proxy.ipAddresses[0]}~${proxy.id}~${proxy.dnsDomain}`,
    metadata: proxy.metadata,
  });
  const table = fromBinary(RouteConfigurationSchema, routes.get(routeName) ?? new Uint8Array());
  const clusters = (domain: string): readonly string[] | null => {
    const host = table.virtualHosts.find(({ domains }) => domains.includes(domain));
    const found = (host?.routes ?? []).flatMap(clustersOf).sort();
    return found.length === 0 ? null : found;
  };
  return Object.fromEntries(Object.keys(expectedDomains).map((domain) => [domain, clusters(domain)]));
}

function clustersOf({ action }: Route): string[] {
  if (action.case !== 'route') return [];
  const { clusterSpecifier } = action.value;
  if (clusterSpecifier.case === 'cluster') return [clusterSpecifier.value];
  return clusterSpecifier.case === 'weightedClusters' ? clusterSpecifier.value.clusters.map(({ name }) => name) : [];
}
