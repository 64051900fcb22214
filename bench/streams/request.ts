/** Writes DeltaDiscoveryRequests. */
import { lengthDelimited } from './protobuf.ts';

export interface DeltaRequest {
  readonly type: string;
  /** The encoded Node, on the first request of a stream. */
  readonly node?: Uint8Array;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initialVersions?: ReadonlyMap<string, string>;
  /** Of the response that this one acknowledges. */
  readonly nonce?: string;
}

/** `DeltaDiscoveryRequest`: node 1, type_url 2, resource_names_subscribe 3, _unsubscribe 4, initial_resource_versions 5, response_nonce 6. */
export function encodeRequest({ type, node, subscribe, unsubscribe, initialVersions, nonce }: DeltaRequest): Buffer {
  const fields: Buffer[] = [];
  if (node !== undefined) fields.push(lengthDelimited(1, node));
  fields.push(lengthDelimited(2, type));
  for (const name of subscribe ?? []) fields.push(lengthDelimited(3, name));
  for (const name of unsubscribe ?? []) fields.push(lengthDelimited(4, name));
  for (const [name, version] of initialVersions ?? [])
    fields.push(lengthDelimited(5, Buffer.concat([lengthDelimited(1, name), lengthDelimited(2, version)])));
  if (nonce !== undefined) fields.push(lengthDelimited(6, nonce));
  return Buffer.concat(fields);
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
