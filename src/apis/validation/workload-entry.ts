import type { Report } from '../structure.ts';
import { quote } from '../structure.ts';
import type { WorkloadEntry, WorkloadEntrySpec } from '../workload-entry.ts';
import { checkLabels, isFqdn, isIpAddress } from './check.ts';

export function validateWorkloadEntry({ spec }: WorkloadEntry, report: Report): void {
  checkWorkloadEntry(spec, 'spec', report);
}

/** Also for the endpoints of a ServiceEntry. What a rule of the schema says is not repeated. */
export function checkWorkloadEntry({ address = '', labels }: WorkloadEntrySpec, path: string, report: Report): void {
  if (address !== '' && !address.startsWith('unix://') && !isIpAddress(address) && !isFqdn(address)) {
    report(`${path}.address`, `must be an IP address, a DNS name or unix://PATH; found ${quote(address)}`);
  }
  checkLabels(labels, `${path}.labels`, report);
}
