import { indexPath } from '../../lib/path.ts';
import type { DestinationRule } from '../destination-rule.ts';
import { quote, type Report } from '../structure.ts';
import { checkExportTo, checkLabels, checkWildcardDomain, isDnsLabel } from './check.ts';
import { checkTrafficPolicy } from './traffic-policy.ts';

export function validateDestinationRule({ spec, namespace }: DestinationRule, report: Report): void {
  checkWildcardDomain(spec.host, 'spec.host', report);
  checkTrafficPolicy(spec.trafficPolicy, 'spec.trafficPolicy', report);
  const names = new Set<string>();
  spec.subsets?.forEach((subset, index) => {
    const path = indexPath('spec.subsets', index);
    if (!isDnsLabel(subset.name)) report(`${path}.name`, `must be letters, digits and "-" (at most 63); found ${quote(subset.name)}`);
    if (names.has(subset.name)) report(`${path}.name`, `repeats subset ${quote(subset.name)}`);
    names.add(subset.name);
    checkLabels(subset.labels, `${path}.labels`, report);
    checkTrafficPolicy(subset.trafficPolicy, `${path}.trafficPolicy`, report);
  });
  const selects = spec.workloadSelector !== undefined;
  checkLabels(spec.workloadSelector?.matchLabels, 'spec.workloadSelector.matchLabels', report);
  checkExportTo(spec.exportTo, 'spec.exportTo', namespace, report, { ownOnly: selects });
}
