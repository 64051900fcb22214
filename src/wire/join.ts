/**
 * Messages put together from bytes that are encoded already. Protobuf allows it: a message is a sequence of fields in any
 * order, and repeated fields are joined. So a resource is encoded once, and a response only costs a copy.
 */

/** Bytes of one message in pieces; joined when they are written. */
export type Pieces = readonly Uint8Array[];

/** `fieldNumber` is a string, bytes or message field; each call adds one value. */
export function field(fieldNumber: number, ...pieces: Pieces): Uint8Array<ArrayBuffer> {
  const length = totalLength(pieces);
  const tag = lengthDelimitedTag(fieldNumber);
  const bytes = new Uint8Array(varintLength(tag) + varintLength(length) + length);
  writePieces(bytes, writeVarint(bytes, writeVarint(bytes, 0, tag), length), pieces);
  return bytes;
}

/** A field of type string. An empty one is left out, as proto3 has it. */
export function stringField(fieldNumber: number, value: string): Uint8Array<ArrayBuffer> {
  return value === '' ? empty : field(fieldNumber, utf8.encode(value));
}

/** `message` with one more value of a string, bytes or message field. A singular field that was there is replaced by it. */
export function withField(message: Uint8Array, fieldNumber: number, ...pieces: Pieces): Uint8Array<ArrayBuffer> {
  return concat(message, field(fieldNumber, ...pieces));
}

export function concat(...pieces: Pieces): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(totalLength(pieces));
  writePieces(bytes, 0, pieces);
  return bytes;
}

/**
 * A message in pieces, which are put together only where it is sent from. A large response to many streams is mostly made of the same bytes: each
 * copy of them costs memory outside of the heap, and that costs collections of all of the heap.
 */
export class Joined {
  readonly byteLength: number;
  /** Shared with other messages: not to be written to. */
  readonly pieces: Pieces;

  constructor(pieces: Pieces) {
    this.pieces = pieces;
    this.byteLength = totalLength(pieces);
  }

  /** Writes all of it into `target` from `start` on. */
  copy(target: Uint8Array, start = 0): number {
    writePieces(target, start, this.pieces);
    return this.byteLength;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return concat(...this.pieces);
  }
}

/** As `deltaResource`, of a virtual host that answers these names as well. */
export function deltaResourceWithAliases(
  name: string,
  version: string,
  aliases: readonly string[],
  typeUrl: string,
  ...pieces: Pieces
): Uint8Array<ArrayBuffer> {
  return field(
    deltaResponseFields.resources,
    stringField(resourceFields.version, version),
    field(resourceFields.resource, ...any(typeUrl, pieces)),
    stringField(resourceFields.name, name),
    ...aliases.map((alias) => stringField(resourceFields.aliases, alias)),
  );
}

/** An entry of DeltaDiscoveryResponse.resources with its tag and length, ready for deltaResponse. `pieces`: the encoded resource. */
export function deltaResource(name: string, version: string, typeUrl: string, ...pieces: Pieces): Uint8Array<ArrayBuffer> {
  return field(
    deltaResponseFields.resources,
    stringField(resourceFields.version, version),
    field(resourceFields.resource, ...any(typeUrl, pieces)),
    stringField(resourceFields.name, name),
  );
}

export interface DeltaResponseParts {
  /** For people only; Envoy shows it as the version of the type. */
  readonly systemVersion: string;
  readonly typeUrl: string;
  readonly nonce: string;
  /** From deltaResource; several may be joined in one array. */
  readonly resources: Pieces;
  readonly removed: readonly string[];
  /** ControlPlane.identifier; istiod puts a JSON object into it, which `istioctl version` reads. */
  readonly controlPlane?: string;
}

/** The bytes of a DeltaDiscoveryResponse. */
export function deltaResponse(parts: DeltaResponseParts): Uint8Array<ArrayBuffer> {
  return concat(
    stringField(deltaResponseFields.systemVersionInfo, parts.systemVersion),
    ...parts.resources,
    stringField(deltaResponseFields.typeUrl, parts.typeUrl),
    stringField(deltaResponseFields.nonce, parts.nonce),
    // An element of a repeated field is written even if it is empty.
    ...parts.removed.map((name) => field(deltaResponseFields.removedResources, utf8.encode(name))),
    controlPlane(deltaResponseFields.controlPlane, parts.controlPlane),
  );
}

/** As `deltaResource`, in pieces: nothing of `pieces` is copied. */
export function deltaResourceByReference(name: string, version: string, typeUrl: string, pieces: Pieces): Pieces {
  const resource = inField(resourceFields.resource, any(typeUrl, pieces));
  return inField(deltaResponseFields.resources, [
    stringField(resourceFields.version, version),
    ...resource,
    stringField(resourceFields.name, name),
  ]);
}

/** An entry of DiscoveryResponse.resources with its tag and length, ready for sotwResponse. `pieces`: the encoded resource. */
export function sotwResource(typeUrl: string, ...pieces: Pieces): Uint8Array<ArrayBuffer> {
  return field(responseFields.resources, ...any(typeUrl, pieces));
}

/** As `sotwResource`, in pieces: nothing of `pieces` is copied. */
export function sotwResourceByReference(typeUrl: string, pieces: Pieces): Pieces {
  return inField(responseFields.resources, any(typeUrl, pieces));
}

/** A resource without a name in a response of either form, in pieces: nothing of `pieces`, the encoded resource, is copied. */
export function unnamedResource(form: 'delta' | 'sotw', version: string, typeUrl: string, pieces: Pieces): Pieces {
  const value = any(typeUrl, pieces);
  if (form === 'sotw') return inField(responseFields.resources, value);
  const resource = [stringField(resourceFields.version, version), ...inField(resourceFields.resource, value)];
  return inField(deltaResponseFields.resources, resource);
}

export interface SotwResponseParts {
  readonly version: string;
  readonly typeUrl: string;
  readonly nonce: string;
  /** From sotwResource; several may be joined in one array. */
  readonly resources: Pieces;
  readonly controlPlane?: string;
}

/** The bytes of a DiscoveryResponse. */
export function sotwResponse(parts: SotwResponseParts): Uint8Array<ArrayBuffer> {
  return concat(
    stringField(responseFields.versionInfo, parts.version),
    ...parts.resources,
    stringField(responseFields.typeUrl, parts.typeUrl),
    stringField(responseFields.nonce, parts.nonce),
    controlPlane(responseFields.controlPlane, parts.controlPlane),
  );
}

/** Numbers of the fields that are commonly kept apart from the rest of their message. */
export const routeConfigurationFields = { name: 1, virtualHosts: 2, vhds: 9 } as const;
export const virtualHostFields = { name: 1, domains: 2, routes: 3 } as const;
export const clusterLoadAssignmentFields = { clusterName: 1, endpoints: 2, policy: 4 } as const;

const deltaResponseFields = { systemVersionInfo: 1, resources: 2, typeUrl: 4, nonce: 5, removedResources: 6, controlPlane: 7 } as const;
const resourceFields = { version: 1, resource: 2, name: 3, aliases: 4 } as const;
const responseFields = { versionInfo: 1, resources: 2, typeUrl: 4, nonce: 5, controlPlane: 6 } as const;
const anyFields = { typeUrl: 1, value: 2 } as const;
const controlPlaneFields = { identifier: 1 } as const;

const utf8 = new TextEncoder();
const empty = new Uint8Array(0);
const typeUrlFields = new Map<string, Uint8Array>();

/** The fields of an Any. An empty value is left out: the message has all defaults. */
function any(typeUrl: string, pieces: Pieces): Pieces {
  let typeUrlField = typeUrlFields.get(typeUrl);
  if (typeUrlField === undefined) {
    typeUrlField = stringField(anyFields.typeUrl, typeUrl);
    typeUrlFields.set(typeUrl, typeUrlField);
  }
  if (totalLength(pieces) === 0) return [typeUrlField];
  return [typeUrlField, ...inField(anyFields.value, pieces)];
}

/** A field as its tag and length, and its value in pieces. */
function inField(fieldNumber: number, pieces: Pieces): Pieces {
  const length = totalLength(pieces);
  const tag = lengthDelimitedTag(fieldNumber);
  const header = new Uint8Array(varintLength(tag) + varintLength(length));
  writeVarint(header, writeVarint(header, 0, tag), length);
  return [header, ...pieces];
}

function controlPlane(fieldNumber: number, identifier: string | undefined): Uint8Array {
  return identifier === undefined ? empty : field(fieldNumber, stringField(controlPlaneFields.identifier, identifier));
}

export function totalLength(pieces: Pieces): number {
  let length = 0;
  for (const piece of pieces) length += piece.byteLength;
  return length;
}

function writePieces(bytes: Uint8Array, start: number, pieces: Pieces): void {
  let offset = start;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.byteLength;
  }
}

function lengthDelimitedTag(fieldNumber: number): number {
  return fieldNumber * 8 + 2;
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

function writeVarint(bytes: Uint8Array, start: number, value: number): number {
  let offset = start;
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes[offset++] = (rest % 0x80) | 0x80;
  bytes[offset++] = rest;
  return offset;
}

/** A RouteConfiguration's `vhds { config_source { ads {} initial_fetch_timeout {} resource_api_version: V3 } }`; with the default timeout Envoy serves 404 after 15 s. */
export const vhdsField = field(routeConfigurationFields.vhds, field(1, field(3), field(4), Uint8Array.of(6 * 8, 2)));
