/** The Secrets that hold a certificate authority, as Istio names them and as ours is named. */
import { CredentialFault } from '../../identity/fault.ts';
import type { ObjectBody, ObjectRef } from '../../kubernetes/api.ts';
import { isRecord, type RawObject } from '../../kubernetes/list.ts';
import { readAuthority } from '../authority.ts';
import { istioKeys, materialIn, MaterialFault, pluggedKeys, type CaMaterial, type MaterialKeys } from '../material.ts';
import type { Given } from '../rotation.ts';
import { encodeState, type CaState, type Origin } from '../state.ts';

/** Given by the user. */
export const pluggedName = 'cacerts';
/** Generated, by istiod or by us. */
export const selfSignedName = 'istio-ca-secret';
/** What is in force and how far a rotation is; see `CaState`. */
export const stateName = 'mizzen-ca-state';

const types: Readonly<Record<string, string>> = { [selfSignedName]: 'istio.io/ca-root', [stateName]: 'mizzen.io/ca-state' };

export type SecretData = Readonly<Record<string, string>>;

export function secretRef(namespace: string, name: string): ObjectRef {
  return { apiVersion: 'v1', plural: 'secrets', namespace, name };
}

export function describe(namespace: string, name: string): string {
  return `Secret ${namespace}/${name}`;
}

/** Decoded; empty values, which older versions of istiod write, count as absent. */
export function dataOf(secret: RawObject): SecretData {
  const data = isRecord(secret['data']) ? secret['data'] : {};
  const entries = Object.entries(data).map(([key, value]) => [
    key,
    typeof value === 'string' ? Buffer.from(value, 'base64').toString('latin1') : '',
  ]);
  return Object.fromEntries(entries.filter(([, value]) => value !== '')) as SecretData;
}

export function secretBody(
  namespace: string,
  name: string,
  data: SecretData,
  metadata: Readonly<Record<string, unknown>> = {},
): ObjectBody {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...metadata, namespace, name },
    type: types[name] ?? 'Opaque',
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'latin1').toString('base64')])),
  };
}

/** As istiod writes it, so that it can take it over again. */
export function selfSignedData({ certificate, key, roots }: CaMaterial): SecretData {
  return { [istioKeys.certificate]: certificate, [istioKeys.key]: key, [istioKeys.roots]: roots };
}

export function stateData(state: CaState): SecretData {
  return encodeState(state);
}

/** What is wrong with a Secret, by the path inside it. */
export class SecretFault extends CredentialFault {
  readonly path: string;

  constructor(path: string, fault: CredentialFault) {
    super(fault.code, fault.message, { cause: fault });
    this.name = 'SecretFault';
    this.path = path;
  }
}

/** The signer that lies in `cacerts` or `istio-ca-secret`. Throws a SecretFault. */
export function readGiven(namespace: string, name: string, data: SecretData, now: number): Given {
  const origin: Origin = name === pluggedName ? 'plugged-in' : 'self-signed';
  const where = describe(namespace, name);
  const found = (key: string): string | undefined => data[key];
  const keys = origin === 'plugged-in' ? pluggedKeys(found) : istioKeys;
  try {
    const material = materialIn(rootless(found, keys), keys, where);
    return { origin, material, authority: readAuthority(material, (part) => `${where}: data[${keys[part]}]`, now) };
  } catch (error) {
    if (error instanceof MaterialFault) throw new SecretFault(`data[${keys[error.part]}]`, error);
    if (error instanceof CredentialFault) throw new SecretFault('data', error);
    throw error;
  }
}

/** Without roots the certificate itself is the root, as in Secrets of older versions of istiod; if it is none, that is found out. */
function rootless(found: (key: string) => string | undefined, keys: MaterialKeys): (key: string) => string | undefined {
  return (key) => found(key) ?? (key === keys.roots ? found(keys.certificate) : undefined);
}
