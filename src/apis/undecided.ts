/** Objects that may be of this revision or not, because nobody may read which tags there are. */
import type { ConfigObject } from './object.ts';
import { mayProtect, protections } from './protection.ts';

/**
 * What is in force of such an object; undefined: nothing. What protects is in force, so that nothing is open that it is there to close. A RequestAuthentication
 * also vouches for callers, which AuthorizationPolicies may let in: of it only the selector counts, and what it selects is closed.
 */
export function inForceUndecided(object: ConfigObject, tag: string): ConfigObject | undefined {
  const { apiVersion, kind, spec, unreadable } = object;
  if (mayProtect(kind)) {
    return unreadable === true || protections(kind, spec).length > 0 ? { ...object, undecidedTag: tag } : undefined;
  }
  if (!apiVersion.startsWith('security.istio.io/')) return undefined;
  if (kind !== 'RequestAuthentication') return { ...object, undecidedTag: tag };
  const { selector } = spec as { readonly selector?: unknown };
  return { ...object, spec: selector === undefined ? {} : { selector }, unreadable: true, undecidedTag: tag };
}
