/** Reads protobuf JSON of a config dump, which is known by shape and not by type. */

/** The value under these keys; undefined where one is missing. */
export function at(value: unknown, ...keys: readonly (string | number)[]): unknown {
  let current = value;
  for (const key of keys) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Readonly<Record<string | number, unknown>>)[key];
  }
  return current;
}

/** As text; empty when it is missing or an object. */
export function textAt(value: unknown, ...keys: readonly (string | number)[]): string {
  const found = at(value, ...keys);
  return typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean' ? String(found) : '';
}

/** As a list; empty when it is missing. */
export function listAt(value: unknown, ...keys: readonly (string | number)[]): readonly unknown[] {
  const found = at(value, ...keys);
  return Array.isArray(found) ? found : [];
}

/** The resources of one section of a dump, each without its wrapper. */
export function resourcesOf(dump: unknown, section: string, list: string, ...wrapper: readonly string[]): readonly unknown[] {
  const found = listAt(dump, 'configs').find((c) => textAt(c, '@type').endsWith(`.${section}`));
  return listAt(found, list).map((entry) => at(entry, ...wrapper));
}

/** `reviews.bookshop` of Istio's `istio.config` metadata, which is a path of the API; empty without one. */
export function configObject(resource: unknown): string {
  const path = textAt(resource, 'metadata', 'filter_metadata', 'istio', 'config');
  const [, namespace, , name] = /\/namespaces\/([^/]*)\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  return name === undefined || namespace === undefined ? '' : `${name}.${namespace}`;
}

/** `1.2.3.4:80`, or the path of a pipe. */
export function addressText(address: unknown): string {
  const host = textAt(address, 'socket_address', 'address');
  const port = textAt(address, 'socket_address', 'port_value');
  if (host !== '') return `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return textAt(address, 'pipe', 'path') || textAt(address, 'envoy_internal_address', 'server_listener_name');
}
