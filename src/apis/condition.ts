/** Conditions that mizzen writes into the status of objects. */
import { fingerprint } from '../lib/fingerprint.ts';

/** As Istio's IstioStatus and Kubernetes' own kinds have it. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** `Reconciled`: whether the object says something that can be translated. `Programmed`: whether the proxies that should have it have accepted it. */
export const conditionTypes = ['Reconciled', 'Programmed'] as const;
export type ConditionType = (typeof conditionTypes)[number];

/** Equal for conditions that say the same, whatever their times and order. Empty where none is one of ours. */
export function conditionsFingerprint(conditions: unknown): string {
  if (!Array.isArray(conditions)) return '';
  const own = conditions
    .filter(
      (c: unknown): c is Record<string, unknown> => typeof c === 'object' && c !== null && isOwn((c as Record<string, unknown>)['type']),
    )
    .map((c) => [c['type'], c['status'], c['reason'], c['message'], numberOf(c['observedGeneration'])])
    .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return own.length === 0 ? '' : fingerprint(JSON.stringify(own));
}

export function isOwn(type: unknown): type is ConditionType {
  return conditionTypes.some((own) => own === type);
}

/** Istio's definitions take the generation as a number or as its text. */
function numberOf(value: unknown): number | null {
  return value === undefined || value === null || Number.isNaN(Number(value)) ? null : Number(value);
}
