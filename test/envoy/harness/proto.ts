/** Envoy's messages from JSON as its documentation writes them, so that a test reads like a configuration. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import { fromJson } from '../../../src/wire/json.ts';
import { fullRegistry } from '../../../src/wire/registry.ts';
import { messageName } from '../../../src/wire/types.ts';

export const registry = fullRegistry(readFileSync(join(import.meta.dirname, '..', '..', '..', 'generated', 'descriptors.binpb')));

/** The bytes of a message of this type. An unknown field is an error with its path. */
export function encodeJson(typeUrl: string, json: unknown): Uint8Array {
  const parsed = fromJson(typeUrl, json, registry);
  if ('problems' in parsed) throw new Error(parsed.problems.map((p) => `${typeUrl} ${p.path}: ${p.message}`).join('\n'));
  const desc = registry.getMessage(messageName(typeUrl));
  if (desc === undefined) throw new Error(`unknown type ${typeUrl}`);
  return toBinary(desc, parsed.message);
}
