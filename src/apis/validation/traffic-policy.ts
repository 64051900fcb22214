/** Traffic policies: of DestinationRules, their subsets and ports, and of Sidecars. */
import { indexPath } from '../../lib/path.ts';
import type { Report } from '../structure.ts';
import type {
  ClientTLSSettings,
  ConnectionPoolSettings,
  LoadBalancerSettings,
  LocalityLoadBalancerSetting,
  OutlierDetection,
  PortTrafficPolicy,
  TrafficPolicy,
} from '../traffic-policy.ts';
import { checkDuration, checkFqdn, checkNotNegative, checkPercent, checkPort } from './check.ts';

export function checkTrafficPolicy(policy: TrafficPolicy | undefined, path: string, report: Report): void {
  if (policy === undefined) return;
  if (Object.keys(policy).length === 0) report(path, 'must set something');
  checkPolicy(policy, path, report);
  policy.portLevelSettings?.forEach((settings, index) => {
    const at = indexPath(`${path}.portLevelSettings`, index);
    if (settings.port === undefined) report(`${at}.port`, 'is required');
    else checkPort(settings.port.number, `${at}.port.number`, report);
    checkPolicy(settings, at, report);
  });
  const { tunnel } = policy;
  if (tunnel !== undefined) {
    if (tunnel.protocol !== undefined && tunnel.protocol !== 'CONNECT' && tunnel.protocol !== 'POST') {
      report(`${path}.tunnel.protocol`, 'must be CONNECT or POST');
    }
    checkFqdn(tunnel.targetHost, `${path}.tunnel.targetHost`, report);
    checkPort(tunnel.targetPort, `${path}.tunnel.targetPort`, report);
  }
}

function checkPolicy(policy: TrafficPolicy | PortTrafficPolicy, path: string, report: Report): void {
  checkOutlierDetection(policy.outlierDetection, `${path}.outlierDetection`, report);
  checkConnectionPool(policy.connectionPool, `${path}.connectionPool`, report);
  checkLoadBalancer(policy.loadBalancer, policy.outlierDetection, `${path}.loadBalancer`, report);
  checkClientTls(policy.tls, `${path}.tls`, report);
}

export function checkConnectionPool(pool: ConnectionPoolSettings | undefined, path: string, report: Report): void {
  if (pool === undefined) return;
  const { tcp, http } = pool;
  if (tcp === undefined && http === undefined) report(path, 'must set tcp or http');
  if (http !== undefined) {
    const at = `${path}.http`;
    checkNotNegative(http.http1MaxPendingRequests, `${at}.http1MaxPendingRequests`, report);
    checkNotNegative(http.http2MaxRequests, `${at}.http2MaxRequests`, report);
    checkNotNegative(http.maxRequestsPerConnection, `${at}.maxRequestsPerConnection`, report);
    checkNotNegative(http.maxRetries, `${at}.maxRetries`, report);
    checkNotNegative(http.maxConcurrentStreams, `${at}.maxConcurrentStreams`, report);
    checkDuration(http.idleTimeout, `${at}.idleTimeout`, report);
    if (http.h2UpgradePolicy === 'UPGRADE' && http.useClientProtocol === true) {
      report(`${at}.useClientProtocol`, 'must not be true when h2UpgradePolicy is UPGRADE');
    }
    const ping = http.http2KeepAlive;
    if (ping !== undefined) {
      if (ping.interval === undefined) report(`${at}.http2KeepAlive.interval`, 'is required');
      if (ping.timeout === undefined) report(`${at}.http2KeepAlive.timeout`, 'is required');
    }
  }
  if (tcp !== undefined) {
    checkNotNegative(tcp.maxConnections, `${path}.tcp.maxConnections`, report);
    checkDuration(tcp.connectTimeout, `${path}.tcp.connectTimeout`, report);
    checkDuration(tcp.maxConnectionDuration, `${path}.tcp.maxConnectionDuration`, report);
    // "0s" switches the timeout off.
    checkDuration(tcp.idleTimeout, `${path}.tcp.idleTimeout`, report, 0);
  }
}

function checkOutlierDetection(outlier: OutlierDetection | undefined, path: string, report: Report): void {
  if (outlier === undefined) return;
  checkDuration(outlier.baseEjectionTime, `${path}.baseEjectionTime`, report);
  checkDuration(outlier.interval, `${path}.interval`, report);
  checkPercent(outlier.maxEjectionPercent, `${path}.maxEjectionPercent`, report);
  checkPercent(outlier.minHealthPercent, `${path}.minHealthPercent`, report);
  if (outlier.consecutiveErrors !== undefined) {
    report(`${path}.consecutiveErrors`, 'is deprecated; use consecutive5xxErrors or consecutiveGatewayErrors', 'Invalid', 'warning');
  }
  const locals = outlier.consecutiveLocalOriginFailures;
  if (outlier.splitExternalLocalOriginErrors !== true && locals !== undefined && locals > 0) {
    report(`${path}.consecutiveLocalOriginFailures`, 'needs splitExternalLocalOriginErrors to be true');
  }
}

function checkLoadBalancer(
  balancer: LoadBalancerSettings | undefined,
  outlier: OutlierDetection | undefined,
  path: string,
  report: Report,
): void {
  if (balancer === undefined) return;
  const cookie = balancer.consistentHash?.httpCookie;
  if (cookie !== undefined) {
    const at = `${path}.consistentHash.httpCookie`;
    if (cookie.name === '') report(`${at}.name`, 'must not be empty');
    checkDuration(cookie.ttl, `${at}.ttl`, report, 0);
    const names = new Set<string>();
    cookie.attributes?.forEach(({ name }, index) => {
      if (names.has(name)) report(`${indexPath(`${at}.attributes`, index)}.name`, `repeats "${name}"`);
      names.add(name);
    });
  }
  const ring = balancer.consistentHash?.minimumRingSize;
  if (ring !== undefined && (balancer.consistentHash?.ringHash ?? balancer.consistentHash?.maglev) !== undefined) {
    report(`${path}.consistentHash.minimumRingSize`, 'must not be set beside ringHash or maglev');
  }
  if (balancer.warmup !== undefined && balancer.warmupDurationSecs !== undefined) {
    report(`${path}.warmupDurationSecs`, 'must not be set beside warmup');
  }
  checkLocality(balancer.localityLbSetting, outlier, `${path}.localityLbSetting`, report);
  const zone = balancer.zoneAwareLbSetting;
  if (zone !== undefined && balancer.localityLbSetting !== undefined) {
    report(`${path}.zoneAwareLbSetting`, 'must not be set beside localityLbSetting');
  }
  checkLocality(zone, outlier, `${path}.zoneAwareLbSetting`, report);
  zone?.failoverPriority?.forEach((label, index) => {
    if (/^topology\.(kubernetes\.io\/zone|istio\.io\/subzone)(=|$)/.test(label)) {
      report(
        indexPath(`${path}.zoneAwareLbSetting.failoverPriority`, index),
        'must not be below the region: zones are balanced by themselves',
      );
    }
  });
}

/** Also called for MeshConfig's setting. */
export function checkLocality(
  setting: LocalityLoadBalancerSetting | undefined,
  outlier: OutlierDetection | undefined,
  path: string,
  report: Report,
): void {
  if (setting === undefined) return;
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && failover.length > 0) report(path, 'must not set both distribute and failover');
  if (distribute.length > 0 && failoverPriority.length > 0) report(path, 'must not set both distribute and failoverPriority');
  if (failoverPriority.length > 0 && failover.some(({ from }) => from !== undefined) && !onlyNetworks(failoverPriority)) {
    report(path, 'must not set failover beside a failoverPriority that names regions');
  }
  const froms: string[] = [];
  distribute.forEach(({ from = '', to = {} }, index) => {
    const at = indexPath(`${path}.distribute`, index);
    froms.push(from);
    checkLocalities([from], `${at}.from`, report);
    checkLocalities(Object.keys(to), `${at}.to`, report);
    const weights = Object.values(to);
    if (weights.some((weight) => weight === 0 || weight > 100)) report(`${at}.to`, 'must have weights between 1 and 100');
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    if (total !== 100) report(`${at}.to`, `must have weights of 100 in total; found ${total}`);
  });
  checkLocalities(froms, `${path}.distribute`, report);
  failover.forEach(({ from = '', to = '' }, index) => {
    const at = indexPath(`${path}.failover`, index);
    if (from === to) report(at, `must lead from one region to another; found "${from}" twice`);
    for (const region of [from, to]) {
      if (region.includes('/') || region.includes('*')) report(at, `must name regions, without "*" and "/"; found "${region}"`);
    }
  });
  if ((failover.length > 0 || failoverPriority.length > 0) && outlier === undefined) {
    report(path, 'has no effect without outlierDetection: nothing would find out that endpoints fail', 'Invalid', 'warning');
  }
}

const onlyNetworks = (labels: readonly string[]) => !labels.some((label) => label.startsWith('topology.kubernetes.io/region'));

/** `region/zone/subzone`, where `*` stands at the end only; none may lie inside another. */
function checkLocalities(localities: readonly string[], path: string, report: Report): void {
  localities.forEach((locality, index) => {
    const parts = locality.split('/');
    if (locality === '' || parts.some((part) => part === '')) report(path, `must be region/zone/subzone; found "${locality}"`);
    if (locality.includes('*') && locality.indexOf('*') !== locality.length - 1) {
      report(path, `may have "*" at its end only; found "${locality}"`);
    }
    const own = locality.replace(/\/?\*$/, '');
    for (const other of localities.slice(0, index)) {
      const before = other.replace(/\/?\*$/, '');
      const nested = (inner: string, outer: string) => outer === '' || inner === outer || inner.startsWith(`${outer}/`);
      if (nested(own, before) || nested(before, own)) report(path, `overlap: "${other}" and "${locality}"`);
    }
  });
}

function checkClientTls(tls: ClientTLSSettings | undefined, path: string, report: Report): void {
  if (tls === undefined) return;
  const set = (['caCertificates', 'clientCertificate', 'privateKey', 'caCrl', 'sni', 'credentialName'] as const).filter(
    (field) => (tls[field] ?? '') !== '',
  );
  const { mode = 'DISABLE' } = tls;
  const named = set.includes('credentialName');
  if (tls.insecureSkipVerify === true && ((tls.caCertificates ?? '') !== '' || (tls.subjectAltNames ?? []).length > 0)) {
    report(`${path}.insecureSkipVerify`, 'must not be set beside caCertificates or subjectAltNames, which it would ignore');
  }
  if (named && (mode === 'SIMPLE' || mode === 'MUTUAL')) {
    for (const field of set) {
      if (field !== 'credentialName' && field !== 'sni') report(`${path}.${field}`, 'must not be set beside credentialName');
    }
    return;
  }
  if (mode === 'MUTUAL') {
    if (!set.includes('clientCertificate')) report(`${path}.clientCertificate`, 'is required for mode MUTUAL without credentialName');
    if (!set.includes('privateKey')) report(`${path}.privateKey`, 'is required for mode MUTUAL without credentialName');
  }
}
