/** MeshConfig from its YAML text, with every default resolved. */
import { parseDuration } from '../lib/duration.ts';
import { suggest } from '../lib/suggest.ts';
import type { ConfigMap } from './config-map.ts';
import { defaultMeshConfig, meshConfig, type MeshConfig, type MeshConfigSpec, proxyConfig } from './mesh-config.ts';
import { keyOf, objectKey, type ObjectKey, type Origin } from './object.ts';
import { originOf } from './parse.ts';
import type { Problem } from './problem.ts';
import { isObject, quote, readStructure, type Report } from './structure.ts';
import { checkLocality } from './validation/traffic-policy.ts';
import { readYamlMap } from './yaml-text.ts';

export interface ParsedMeshConfig {
  /** The defaults where the text is refused. */
  readonly config: MeshConfig;
  readonly problems: readonly Problem[];
  /** False: something in the text is an error, and whoever has an earlier version keeps it. */
  readonly valid: boolean;
}

/** Fields of Istio's MeshConfig that are known and have no effect yet. */
const untranslatedMeshFields = [
  'ca',
  'caCertificates',
  'certificates',
  'configSources',
  'defaultTrafficPolicy',
  'enableEnvoyAccessLogService',
  'extensionProviders',
  'hboneIdleTimeout',
  'inboundClusterStatName',
  'outboundClusterStatName',
  'pathNormalization',
  'serviceEntryVisibility',
  'serviceScopeConfigs',
  'thriftConfig',
  'tlsDefaults',
  'verifyCertificateAtClient',
  'zoneAwareLbSetting',
];

/** The same of ProxyConfig. */
const untranslatedProxyFields = [
  'binaryPath',
  'caCertificatesPem',
  'configPath',
  'connectionSettings',
  'controlPlaneAuthPolicy',
  'customConfigFile',
  'envoyAccessLogService',
  'envoyMetricsService',
  'extraStatTags',
  'fileFlushInterval',
  'fileFlushMinSizeKb',
  'image',
  'privateKeyProvider',
  'proxyBootstrapTemplatePath',
  'proxyHeaders',
  'proxyStatsMatcher',
  'readinessProbe',
  'runtimeValues',
  'sds',
  'statsCompression',
  'statsEvictionInterval',
  'statsdUdpAddress',
  'tracing',
  'zipkinAddress',
];

/** `object` names the ConfigMap or file in problems. Never throws. */
export function parseMeshConfig(
  text: string,
  origin: Origin,
  object: ObjectKey = objectKey('MeshConfig', '', origin.file ?? ''),
): ParsedMeshConfig {
  const problems: Problem[] = [];
  const report: Report = (path, message, reason = 'Invalid', severity = 'error') => {
    problems.push({ object, path, reason, severity, message, origin: originOf(origin, path) });
  };
  const spec = readText(text, report);
  const valid = spec !== undefined && !problems.some((problem) => problem.severity === 'error');
  return { config: valid ? resolveMeshConfig(spec) : defaultMeshConfig, problems, valid };
}

/** From key `mesh` of ConfigMap `istio`; the defaults where it has no such key. */
export function meshConfigOf(configMap: ConfigMap): ParsedMeshConfig {
  const parsed = parseMeshConfig(configMap.spec.data?.['mesh'] ?? '', configMap.origin, keyOf(configMap));
  const problems = parsed.problems.map((problem) => ({ ...problem, path: `data.mesh${problem.path === '' ? '' : `: ${problem.path}`}` }));
  return { ...parsed, problems };
}

function readText(text: string, report: Report): MeshConfigSpec | undefined {
  const value = readYamlMap(text, report);
  if (value === undefined) return undefined;
  reportUnread(value, '', meshConfig, untranslatedMeshFields, report);
  const { defaultConfig } = value;
  if (isObject(defaultConfig)) reportUnread(defaultConfig, 'defaultConfig.', proxyConfig, untranslatedProxyFields, report);
  const spec = readStructure(meshConfig, value, '', 'ignore', report) as MeshConfigSpec | undefined;
  if (spec !== undefined) checkValues(spec, report);
  return spec;
}

function reportUnread(
  value: Record<string, unknown>,
  prefix: string,
  schema: typeof meshConfig | typeof proxyConfig,
  untranslated: readonly string[],
  report: Report,
): void {
  const read = Object.keys(schema.properties);
  for (const name of Object.keys(value)) {
    if (read.includes(name)) continue;
    if (untranslated.includes(name)) report(`${prefix}${name}`, 'is not translated yet: it has no effect', 'NotTranslated', 'warning');
    else {
      const meant = suggest(name, [...read, ...untranslated]);
      const hint = meant === undefined ? '' : `; did you mean ${quote(meant)}?`;
      report(`${prefix}${name}`, `unknown field ${quote(name)} is ignored${hint}`, 'UnknownField', 'warning');
    }
  }
}

const domain = /^[a-z0-9A-Z]([-a-z0-9A-Z_]*[a-z0-9A-Z])?(\.[a-z0-9A-Z]([-a-z0-9A-Z_]*[a-z0-9A-Z])?)*$/;

function checkValues(spec: MeshConfigSpec, report: Report): void {
  // The mesh has no outlier detection of its own; it may stand in any DestinationRule.
  checkLocality(spec.localityLbSetting, {}, 'localityLbSetting', report);
  checkDuration(spec.connectTimeout, 'connectTimeout', 1_000_000n, report);
  checkDuration(spec.protocolDetectionTimeout, 'protocolDetectionTimeout', 0n, report);
  checkDuration(spec.dnsRefreshRate, 'dnsRefreshRate', 1_000_000n, report);
  checkDuration(spec.defaultConfig?.drainDuration, 'defaultConfig.drainDuration', 1_000_000_000n, report);
  checkDuration(spec.defaultConfig?.terminationDrainDuration, 'defaultConfig.terminationDrainDuration', 1_000_000_000n, report);
  checkDuration(spec.tcpKeepalive?.time, 'tcpKeepalive.time', 1_000_000_000n, report);
  checkDuration(spec.tcpKeepalive?.interval, 'tcpKeepalive.interval', 1_000_000_000n, report);
  checkDuration(spec.defaultHttpRetryPolicy?.perTryTimeout, 'defaultHttpRetryPolicy.perTryTimeout', 1_000_000n, report);
  checkDuration(spec.defaultHttpRetryPolicy?.backoff, 'defaultHttpRetryPolicy.backoff', 1_000_000n, report);
  for (const [path, name] of [
    ['trustDomain', spec.trustDomain],
    ...(spec.trustDomainAliases ?? []).map((alias, index) => [`trustDomainAliases[${index}]`, alias] as const),
  ] as const) {
    if (name !== undefined && (name.length > 253 || !domain.test(name))) report(path, `must be a domain name; found ${quote(name)}`);
  }
  const lazy = spec.defaultConfig?.proxyMetadata?.['MIZZEN_LAZY'];
  if (lazy !== undefined && lazy !== 'true' && lazy !== 'false') {
    report('defaultConfig.proxyMetadata.MIZZEN_LAZY', `must be "true" or "false"; found ${quote(lazy)}`);
  }
  const address = spec.defaultConfig?.discoveryAddress;
  const port = Number(/:(\d{1,5})$/.exec(address ?? '')?.[1]);
  if (address !== undefined && !(port > 0 && port <= 65535)) {
    report('defaultConfig.discoveryAddress', `must be host:port; found ${quote(address)}`);
  }
}

function checkDuration(text: string | undefined, path: string, minimum: bigint, report: Report): void {
  if (text === undefined) return;
  const nanoseconds = parseDuration(text);
  if (nanoseconds === undefined || nanoseconds < minimum) {
    const least = minimum >= 1_000_000_000n ? '1s' : minimum > 0n ? '1ms' : '0s';
    report(path, `must be a duration of at least ${least}, such as "10s"; found ${quote(text)}`);
  }
}

/** Fills in what is not set. Lists replace the default, maps of settings are merged, as in Istio. */
export function resolveMeshConfig(spec: MeshConfigSpec): MeshConfig {
  const { defaultConfig, outboundTrafficPolicy, inboundTrafficPolicy, localityLbSetting, ...rest } = spec;
  return {
    ...defaultMeshConfig,
    ...rest,
    outboundTrafficPolicy: { ...defaultMeshConfig.outboundTrafficPolicy, ...outboundTrafficPolicy },
    inboundTrafficPolicy: { ...defaultMeshConfig.inboundTrafficPolicy, ...inboundTrafficPolicy },
    localityLbSetting: { ...defaultMeshConfig.localityLbSetting, ...localityLbSetting },
    defaultConfig: { ...defaultMeshConfig.defaultConfig, ...defaultConfig },
  };
}
