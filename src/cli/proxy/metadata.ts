import type { JsonValue } from '../../envoy/bootstrap/options.ts';

type Metadata = Record<string, JsonValue>;

/**
 * Node metadata from the environment, as pilot-agent reads it: `ISTIO_META_X=v` is the text `v` under `X`, and each
 * `ISTIO_METAJSON_*` is a JSON object whose keys are taken.
 */
export function metadataFromEnvironment(env: Readonly<Record<string, string | undefined>>): Metadata {
  const metadata: Metadata = {};
  for (const [name, value] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (value === undefined) continue;
    if (name.startsWith('ISTIO_METAJSON_')) Object.assign(metadata, objectFrom(name, value));
    else if (name.startsWith('ISTIO_META_')) metadata[name.slice('ISTIO_META_'.length)] = value;
  }
  return metadata;
}

function objectFrom(name: string, text: string): Metadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${name}: not JSON (${(cause as Error).message})`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${name}: must be a JSON object such as {"KEY": "value"}`);
  }
  return value as Metadata;
}

/** `KEY=value`, where a value that is a JSON object, array, number or boolean is taken as such. */
export function parseMetadata(text: string): readonly [string, JsonValue] {
  const at = text.indexOf('=');
  if (at <= 0) throw new Error(`"${text}" is not of the form KEY=VALUE`);
  const value = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(value) as JsonValue];
  } catch {
    // Not JSON: plain text, which is what most keys hold.
    return [text.slice(0, at), value];
  }
}
