/** Writes discovery requests of both protocols. */
import { lengthDelimited } from './protobuf.ts';

export interface DeltaRequest {
  readonly type: string;
  /** The encoded Node, on the first request of a stream. */
  readonly node?: Uint8Array;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initialVersions?: ReadonlyMap<string, string>;
  /** Of the response that this one acknowledges or refuses. */
  readonly nonce?: string;
  /** Why it is refused. */
  readonly error?: string;
}

/**
 * `DeltaDiscoveryRequest`: node 1, type_url 2, resource_names_subscribe 3, _unsubscribe 4, initial_resource_versions 5, response_nonce 6,
 * error_detail 7.
 */
export function encodeRequest({ type, node, subscribe, unsubscribe, initialVersions, nonce, error }: DeltaRequest): Buffer {
  const fields: Buffer[] = [];
  if (node !== undefined) fields.push(lengthDelimited(1, node));
  fields.push(lengthDelimited(2, type));
  for (const name of subscribe ?? []) fields.push(lengthDelimited(3, name));
  for (const name of unsubscribe ?? []) fields.push(lengthDelimited(4, name));
  for (const [name, version] of initialVersions ?? [])
    fields.push(lengthDelimited(5, Buffer.concat([lengthDelimited(1, name), lengthDelimited(2, version)])));
  if (nonce !== undefined) fields.push(lengthDelimited(6, nonce));
  if (error !== undefined) fields.push(lengthDelimited(7, statusOf(error)));
  return Buffer.concat(fields);
}

/** `google.rpc.Status`: code 1 (3, INVALID_ARGUMENT), message 2. */
function statusOf(message: string): Buffer {
  return Buffer.concat([Buffer.from([8, 3]), lengthDelimited(2, message)]);
}

export interface SotwRequest {
  readonly type: string;
  readonly node?: Uint8Array;
  /** What was accepted last; empty before that. */
  readonly version: string;
  /** Everything that is asked for; empty for all. */
  readonly names: readonly string[];
  readonly nonce?: string;
  readonly error?: string;
}

/**
 * `DiscoveryRequest`: version_info 1, node 2, resource_names 3, type_url 4, response_nonce 5, error_detail 6. In pieces, because every acknowledgement
 * repeats the names: all streams that ask for the same share their bytes.
 */
export function encodeSotwRequest({ type, node, version, names, nonce, error }: SotwRequest): Buffer[] {
  const fields = [lengthDelimited(4, type)];
  if (version !== '') fields.push(lengthDelimited(1, version));
  if (node !== undefined) fields.push(lengthDelimited(2, node));
  if (nonce !== undefined) fields.push(lengthDelimited(5, nonce));
  if (error !== undefined) fields.push(lengthDelimited(6, statusOf(error)));
  return names.length === 0 ? fields : [...fields, encodedNames(names)];
}

const namesOnce = new WeakMap<readonly string[], Buffer>();

function encodedNames(names: readonly string[]): Buffer {
  let bytes = namesOnce.get(names);
  if (bytes === undefined) namesOnce.set(names, (bytes = Buffer.concat(names.map((name) => lengthDelimited(3, name)))));
  return bytes;
}

const shared = new WeakMap<readonly string[], Map<string, Buffer>>();

/** `encodeRequest`, once per array of names where nothing else is in the request: a thousand streams ask for the same thousand endpoints. */
export function encodeShared(request: DeltaRequest): Buffer {
  const { type, node, subscribe = [], unsubscribe = [], initialVersions, nonce } = request;
  if (subscribe.length === 0 || unsubscribe.length > 0 || node !== undefined || initialVersions !== undefined || nonce !== undefined)
    return encodeRequest(request);
  let byType = shared.get(subscribe);
  if (byType === undefined) shared.set(subscribe, (byType = new Map()));
  let bytes = byType.get(type);
  if (bytes === undefined) byType.set(type, (bytes = encodeRequest(request)));
  return bytes;
}
