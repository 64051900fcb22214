import type { Flags } from './flags.ts';
import { whyNoPods } from '../test/envoy/harness/pods.ts';
import { maxChanges } from './workload/changes.ts';
import { checkSize } from './workload/mesh.ts';
import { sizesOf } from './sizes.ts';

/** What is wrong with the flags together, if anything. */
export function wrongFlags(flags: Flags): string | undefined {
  const {
    target,
    folder,
    kubeconfig,
    feed,
    tls,
    profile,
    root,
    slowReaders,
    proxies,
    envoy,
    changes,
    scenario,
    sweep,
    budget,
    writeBudget,
  } = flags;
  const sizes = sizesOf(flags);
  const wrongSize = sizes.map(checkSize).find((wrong) => wrong !== undefined);
  if (wrongSize !== undefined) return wrongSize;
  const all = Math.max(1, target.length) * sizes.length * scenario.length * changes;
  if (all > maxChanges) return `${all} changes in all are more than ${maxChanges}`;
  if (changes === 0) return '--changes must be at least 1';
  if (flags.workers === 0) return '--workers must be at least 1';
  if (flags.replicas === 0) return '--replicas must be at least 1';
  if (target.length > 0 && flags.replicas !== 1)
    return '--replicas is for the mizzen that the bench starts; those of a --target are joined by +';
  if (slowReaders >= proxies) return 'at least one proxy must not be a slow reader';
  if (feed === 'folder' && kubeconfig !== undefined) return '--kubeconfig is for --feed kubernetes';
  if (feed === 'kubernetes' && folder !== undefined) return '--folder is for --feed folder';
  if (target.length > 0 && (feed === 'folder' ? folder : kubeconfig) === undefined)
    return `--target needs ${feed === 'folder' ? '--folder' : '--kubeconfig'}, which the servers read`;
  if (flags.alone && target.length < 2) return '--alone is for several --target';
  if (target.length > 0 && profile !== undefined) return '--profile is for the mizzen that the bench starts';
  if (target.length > 0 && tls && feed === 'folder') return '--target with --tls needs --feed kubernetes, whose tokens it takes';
  if (flags.sds && !tls) return '--sds needs --tls: nobody gets a private key in plaintext';
  if (root !== undefined && (target.length === 0 || !tls)) return '--root is for --target with --tls';
  if ((budget !== undefined || writeBudget !== undefined) && !flags.calibration) return 'a budget needs the calibration';
  if ((budget !== undefined || writeBudget !== undefined) && flags.replicas !== 1) return 'a budget is for one replica';
  if (writeBudget !== undefined && (sweep !== undefined || target.length > 1)) return '--write-budget is for one server at one size';
  const noPods = envoy ? whyNoPods() : undefined;
  return noPods === undefined ? undefined : `--envoy cannot be here: ${noPods}`;
}
