import { indexPath } from '../../lib/path.ts';
import type { ServiceEntry, ServiceEntrySpec } from '../service-entry.ts';
import { quote, type Report } from '../structure.ts';
import { checkExportTo, checkLabels, checkPortName, checkProtocol, isFqdn, isIpAddress, isIpRange, isWildcardDomain } from './check.ts';
import { checkWorkloadEntry } from './workload-entry.ts';

export function validateServiceEntry({ spec, namespace }: ServiceEntry, report: Report): void {
  const { hosts, addresses = [], endpoints = [], ports = [] } = spec;
  hosts.forEach((host, index) => {
    if (!isWildcardDomain(host) && !isIpAddress(host)) report(indexPath('spec.hosts', index), `is no valid host: ${quote(host)}`);
  });
  addresses.forEach((address, index) => {
    if (!isIpRange(address)) report(indexPath('spec.addresses', index), `must be an IP address or CIDR; found ${quote(address)}`);
  });
  checkPorts(spec, report);
  endpoints.forEach((endpoint, index) => {
    const path = indexPath('spec.endpoints', index);
    checkWorkloadEntry(endpoint, path, report);
    for (const name of Object.keys(endpoint.ports ?? {})) {
      if (!ports.some((port) => port.name === name)) report(`${path}.ports`, `names port ${quote(name)}, which spec.ports has not`);
    }
  });
  checkLabels(spec.workloadSelector?.labels, 'spec.workloadSelector.labels', report);
  checkResolution(spec, report);
  checkExportTo(spec.exportTo, 'spec.exportTo', namespace, report, { none: true });
}

function checkPorts({ ports = [], addresses = [], resolution = 'NONE' }: ServiceEntrySpec, report: Report): void {
  const names = new Set<string>();
  ports.forEach((port, index) => {
    const path = indexPath('spec.ports', index);
    checkPortName(port.name, `${path}.name`, report);
    if (names.has(port.name)) report(`${path}.name`, `port names must differ; found ${quote(port.name)} twice`);
    names.add(port.name);
    if (port.protocol !== undefined && port.protocol !== '') checkProtocol(port.protocol, `${path}.protocol`, report);
    const bytes = port.protocol === undefined || /^(tcp|)$/i.test(port.protocol);
    if (bytes && addresses.length === 0 && resolution === 'NONE') {
      report(path, 'without addresses takes all traffic of this port, whatever its destination', 'Invalid', 'warning');
    }
  });
}

function checkResolution(spec: ServiceEntrySpec, report: Report): void {
  const { resolution = 'NONE', hosts, addresses = [], endpoints = [], ports = [] } = spec;
  if (spec.workloadSelector !== undefined && resolution === 'NONE') {
    report('spec.workloadSelector', 'has no effect with resolution NONE', 'Invalid', 'warning');
  }
  switch (resolution) {
    case 'STATIC':
      endpoints.forEach(({ address = '' }, index) => {
        const path = `${indexPath('spec.endpoints', index)}.address`;
        const socket = address.startsWith('unix://');
        if (address !== '' && !socket && !isIpAddress(address))
          report(path, `must be an IP address with resolution STATIC; found ${quote(address)}`);
        if (socket && ports.length !== 1) report(path, 'is a Unix socket, which serves exactly one port; spec.ports has others');
      });
      return;
    case 'DNS':
    case 'DNS_ROUND_ROBIN':
      if (endpoints.length === 0 && spec.workloadSelector === undefined) {
        hosts.forEach((host, index) => {
          if (!isFqdn(host)) report(indexPath('spec.hosts', index), `cannot be looked up in DNS: ${quote(host)}; list endpoints`);
        });
      }
      endpoints.forEach(({ address = '' }, index) => {
        const path = `${indexPath('spec.endpoints', index)}.address`;
        if (address.startsWith('unix://')) report(path, `must not be a Unix socket with resolution ${resolution}`);
      });
      return;
    case 'DYNAMIC_DNS':
      if (endpoints.length > 0) report('spec.endpoints', 'must not be set with resolution DYNAMIC_DNS');
      if (addresses.length > 0) report('spec.addresses', 'must not be set with resolution DYNAMIC_DNS');
      hosts.forEach((host, index) => {
        if (!host.startsWith('*.'))
          report(indexPath('spec.hosts', index), 'must be a wildcard with resolution DYNAMIC_DNS; use DNS for one name');
      });
      ports.forEach(({ protocol = '' }, index) => {
        if (!/^(http|https|http2|grpc|grpc-web|tls)$/i.test(protocol)) {
          report(
            `${indexPath('spec.ports', index)}.protocol`,
            'must carry the host name (HTTP, GRPC, HTTPS or TLS) with resolution DYNAMIC_DNS',
          );
        }
      });
      return;
    case 'NONE':
  }
}
