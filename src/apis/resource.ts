/** Kinds by name, with what URLs are made of: also of those that have no schema here. */
import type { KindSchema } from './kind.ts';
import { kinds } from './kinds.ts';

export type Resource = Pick<KindSchema, 'kind' | 'plural' | 'group' | 'versions' | 'scope'>;

/** Kinds of Istio that nobody reads here: their objects have no effect. */
export const unreadKinds: readonly Resource[] = (
  [
    { kind: 'ProxyConfig', plural: 'proxyconfigs', group: 'networking.istio.io', versions: ['v1', 'v1beta1'], scope: 'Namespaced' },
    { kind: 'Telemetry', plural: 'telemetries', group: 'telemetry.istio.io', versions: ['v1', 'v1alpha1'], scope: 'Namespaced' },
  ] as const
).filter(({ kind }) => !kinds.some((known: KindSchema) => known.kind === kind));

/** By kind, plural or short name, in any case, as for kubectl. */
export function findResource(name: string): Resource | undefined {
  const wanted = name.toLowerCase();
  return [...(kinds as readonly KindSchema[]), ...unreadKinds].find(
    (known: Resource & Partial<KindSchema>) =>
      known.kind.toLowerCase() === wanted || known.plural === wanted || (known.shortNames ?? []).includes(wanted),
  );
}

export function resourceNames(): string[] {
  return [...kinds, ...unreadKinds].map(({ kind }) => kind).sort();
}
