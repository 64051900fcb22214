/** Selectors and target references of policies. */
import { fieldPath, indexPath } from '../../lib/path.ts';
import type { PolicyTargetReference, PolicyWorkloadSelector } from '../common.ts';
import type { Report } from '../structure.ts';
import { checkLabels } from './check.ts';

interface Targeted {
  readonly selector?: PolicyWorkloadSelector;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
}

const targets: Readonly<Record<string, readonly string[]>> = {
  'gateway.networking.k8s.io': ['Gateway', 'GatewayClass'],
  '': ['Service'],
  core: ['Service'],
  'networking.istio.io': ['ServiceEntry'],
};

export function checkTargets({ selector, targetRef, targetRefs }: Targeted, report: Report): void {
  checkLabels(selector?.matchLabels, 'spec.selector.matchLabels', report);
  if (selector !== undefined && Object.keys(selector.matchLabels ?? {}).length === 0) {
    report('spec.selector', 'is empty and selects every workload; leave it out if that is meant', 'Invalid', 'warning');
  }
  if (targetRef !== undefined) checkTarget(targetRef, 'spec.targetRef', report);
  targetRefs?.forEach((target, index) => checkTarget(target, indexPath('spec.targetRefs', index), report));
}

function checkTarget({ group = '', kind }: PolicyTargetReference, path: string, report: Report): void {
  const allowed = Object.hasOwn(targets, group) ? targets[group] : undefined;
  if (allowed === undefined) report(fieldPath(path, 'group'), `is no group that policies can be attached to: "${group}"`);
  else if (!allowed.includes(kind)) report(fieldPath(path, 'kind'), `must be ${allowed.join(' or ')} in group "${group}"; found "${kind}"`);
}
