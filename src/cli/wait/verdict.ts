import type { ObjectReport } from '../../admin/convergence.ts';

/** What the control plane has to have seen before its answer counts. */
export interface Expected {
  readonly deleted?: true;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** It is from an API server: of a control plane that reads files it says nothing. */
  readonly unlessFile?: true;
}

export interface Verdict {
  readonly state: 'done' | 'failed' | 'waiting';
  /** For a human. */
  readonly text: string;
}

export function judge(report: ObjectReport, unanswered: readonly string[], expected: Expected): Verdict {
  const counts = `${report.proxies.acked} of ${report.proxies.total} proxies`;
  const unseen = report.origin !== undefined && expected.unlessFile === true ? notThere(report) : notSeen(report, expected);
  if (unseen !== undefined) return { state: 'waiting', text: unseen };
  const invalid = report.problems.find(({ severity, reason }) => severity === 'error' && reason !== 'Refused');
  if (invalid !== undefined) {
    const path = invalid.path === '' ? '' : `${invalid.path} `;
    return { state: 'failed', text: `${invalid.reason}: ${path}${invalid.message}` };
  }
  const rejected = report.lagging.filter(({ state }) => state === 'rejected');
  if (rejected.length > 0) return { state: 'failed', text: `${counts} have it, ${rejected.length} refuse it` };
  if (unanswered.length > 0) return { state: 'waiting', text: `${counts} have it; no answer from ${unanswered.join(', ')}` };
  if (report.behind.length > 0) return { state: 'waiting', text: `not yet seen by ${report.behind.join(', ')}` };
  if (report.pending) return { state: 'waiting', text: 'is being translated' };
  if (!report.converged) return { state: 'waiting', text: `${counts} have it` };
  return { state: 'done', text: report.exists ? `converged, ${counts} have it` : `converged, it is gone from ${counts}` };
}

function notSeen(report: ObjectReport, { deleted, resourceVersion, generation }: Expected): string | undefined {
  if (deleted === true) return report.exists ? 'its deletion was not seen yet' : undefined;
  if (notThere(report) !== undefined) return notThere(report);
  if (generation !== undefined && (report.generation ?? 0) < generation) return `generation ${generation} was not seen yet`;
  if (resourceVersion === undefined || report.resourceVersion === undefined) return undefined;
  return older(report.resourceVersion, resourceVersion) ? `version ${resourceVersion} was not seen yet` : undefined;
}

function notThere(report: ObjectReport): string | undefined {
  return report.exists ? undefined : 'the control plane has not read it; if it was deleted, say --deleted';
}

/** Versions of one resource are decimal numbers that grow. */
function older(a: string, b: string): boolean {
  return a.length === b.length ? a < b : a.length < b.length;
}
