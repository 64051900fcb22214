/** From what is known of an object to the conditions in its status. */
import type { Condition } from '../../apis/condition.ts';
import { namespaceOf, proxyFor, reasonOf, textFor } from '../../apis/disclosure.ts';
import type { ObjectKey } from '../../apis/object.ts';
import type { ObjectFacts } from './facts.ts';

/** Of a message; kubectl shows it in one line. */
const maxMessage = 1024;
/** Names in a message. */
const maxNames = 5;

type Problems = ObjectFacts['problems'];

/** What its readers may be told of a problem. */
export function messageOf(object: ObjectKey, { message, toReaders }: Problems[number]): string {
  return textFor(namespaceOf(object), toReaders ?? message);
}

/** Both conditions; `Reconciled` alone for an object that is not translated as a whole. */
export function conditionsOf(object: ObjectKey, known: ObjectFacts): Condition[] {
  const facts = { ...known, problems: known.problems.map((problem) => ({ ...problem, message: messageOf(object, problem) })) };
  const namespace = namespaceOf(object);
  const own = facts.problems.filter(({ reason }) => reason !== 'Refused');
  const errors = own.filter(({ severity, reason, path }) => severity === 'error' || (reason === 'NotTranslated' && path === ''));
  const generation = facts.generation === undefined ? {} : { observedGeneration: facts.generation };
  const [worst] = errors;
  if (worst !== undefined) {
    const reconciled: Condition = { type: 'Reconciled', status: 'False', reason: worst.reason, message: listed(errors), ...generation };
    if (worst.reason === 'NotTranslated' && worst.path === '') return [reconciled];
    return [reconciled, { ...programmed(namespace, { ...facts, problems: own }), ...notReconciled(errors), ...generation }];
  }
  const warnings = own.length === 0 ? 'translated' : `translated, with warnings: ${listed(own)}`;
  return [
    { type: 'Reconciled', status: 'True', reason: 'Reconciled', message: limited(warnings), ...generation },
    { ...programmed(namespace, facts), ...generation },
  ];
}

function programmed(namespace: string, { proxies, lagging, problems, converged, behind }: ObjectFacts): Condition {
  const counts = `${proxies.acked} of ${proxies.total} proxies`;
  const refused = lagging.filter(({ state }) => state === 'rejected');
  const refusals = problems.filter(({ reason }) => reason === 'Refused').toSorted((a, b) => (a.message < b.message ? -1 : 1));
  if (refused.length > 0 || refusals.length > 0) {
    const why = refusals[0]?.message ?? reasonOf(refused[0]?.error ?? '');
    const who = refused.length === 0 ? '' : `; refused by ${names(namespace, refused)}`;
    return { type: 'Programmed', status: 'False', reason: 'Refused', message: limited(`${counts}${who}; ${why}`) };
  }
  if (!converged) {
    const who = lagging.length === 0 ? '' : `; waiting for ${names(namespace, lagging)}`;
    const unseen = behind.length === 0 ? '' : `; not seen yet by ${behind.length} of mizzen's replicas`;
    return { type: 'Programmed', status: 'False', reason: 'Pending', message: limited(`${counts}${who}${unseen}`) };
  }
  if (proxies.total === 0) return { type: 'Programmed', status: 'True', reason: 'NoProxies', message: 'no connected proxy should have it' };
  return { type: 'Programmed', status: 'True', reason: 'Programmed', message: counts };
}

/** What proxies have is the last good version, or the part of it that is no error. */
function notReconciled(errors: Problems): Pick<Condition, 'status' | 'reason' | 'message'> {
  return {
    status: 'False',
    reason: 'NotReconciled',
    message: limited(`proxies have what was valid last, or the rest of it: ${listed(errors)}`),
  };
}

function listed(problems: Problems): string {
  const shown = problems.slice(0, maxNames).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  const rest = problems.length - shown.length;
  return limited(`${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`);
}

function names(namespace: string, lagging: ObjectFacts['lagging']): string {
  const own = lagging.flatMap(({ proxy }) => proxyFor(namespace, proxy) ?? []).sort();
  const others = lagging.length - own.length;
  const parts = own.slice(0, maxNames);
  if (own.length > maxNames) parts.push(`${own.length - maxNames} more`);
  if (others > 0) parts.push(`${others} of other namespaces`);
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

function limited(text: string): string {
  return text.length <= maxMessage ? text : `${text.slice(0, maxMessage - 3)}...`;
}
