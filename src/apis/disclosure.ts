/**
 * What the readers of an object may be told. Its status and Events are read by whoever may read it, the owners of its namespace: they learn neither names of
 * objects and proxies of other namespaces nor what a proxy quotes of them. All of it is in the log and the debug API, which are the operators'.
 */
import type { ObjectKey } from './object.ts';
import { findResource } from './resource.ts';

export const whereAllOfItIs = "see mizzen's log or /debug/problems";

/** Empty for an object of a kind that has none. */
export function namespaceOf(object: ObjectKey): string {
  return object.split('/')[1] ?? '';
}

/** `name.namespace` of a proxy, for readers of that namespace; undefined for those of others. Node ids are `type~address~name.namespace~domain`. */
export function proxyFor(namespace: string, node: string): string | undefined {
  const name = node.split('~')[2] ?? '';
  return namespace !== '' && name.endsWith(`.${namespace}`) ? name : undefined;
}

/** A list of objects: those of the namespace with their names, the others counted. Each is a key, and may have a place behind it: ` (file:line)`. */
export function objectsFor(namespace: string, objects: readonly string[], max: number): string {
  const own = objects.filter((text) => namespace !== '' && namespaceOf(text as ObjectKey) === namespace);
  const others = objects.length - own.length;
  const parts = own.slice(0, max);
  if (own.length > max) parts.push(`${own.length - max} more`);
  if (others > 0) parts.push(`${others} ${others === 1 ? 'object' : 'objects'} of other namespaces`);
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

/** The text without keys of objects of other namespaces. */
export function textFor(namespace: string, text: string): string {
  return text.replace(/\b([A-Z][A-Za-z]{1,62})\/([-a-z0-9]{0,63})\/[-.a-z0-9@]*[a-z0-9]/g, (key, kind: string, of: string) =>
    (of === namespace && namespace !== '') || findResource(kind) === undefined ? key : `${article(kind)} ${kind} of another namespace`,
  );
}

const article = (kind: string): string => (/^[AEIOU]/.test(kind) ? 'an' : 'a');

/** Of a reason; Envoy quotes whole messages. */
const maxReason = 200;
/** Before the reason: which resource it is about, which is said already. */
const preamble = /^(Error (adding\/updating|adding|updating) \w+\(?s?\)? \S+: |Proto constraint validation failed )/;
/** Words of prose, and names of Envoy's own messages and their fields: `RouteValidationError.Match:`. */
const harmless = /^[("']*([A-Za-z]+('t)?|[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]+)+)[)"']*[,:;.]*$/;

/**
 * Envoy's words for why it refuses something, without what it quotes. What is not plain prose may be a name, an address or a part of the configuration of
 * somebody else, such as the host that is there already: it becomes `...`.
 */
export function reasonOf(error: string): string {
  const [line = ''] = error.trim().split('\n', 1);
  const unquoted = line
    .slice(0, 2_000)
    .replace(preamble, '')
    .replace(/(?<![A-Za-z])'[^']*('|$)|"[^"]*("|$)|`[^`]*(`|$)|\[[^\]]*(\]|$)|\{[^}]*(\}|$)/g, ' ... ');
  const words = unquoted.trim().split(/\s+/);
  const text = words
    .map((word) => (harmless.test(word) ? word : '...'))
    .join(' ')
    .replace(/\.\.\.( \.\.\.)+/g, '...')
    .replace(/^(\.\.\. )+|^\.\.\.$/, '')
    .trim();
  if (text === '') return 'for a reason that quotes configuration';
  return text.length <= maxReason ? text : `${text.slice(0, maxReason - 3)}...`;
}
