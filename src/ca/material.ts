/** What an authority is made of, in PEM, whichever files or keys of a Secret it comes from. */
import { CredentialFault } from '../identity/fault.ts';

export interface CaMaterial {
  readonly certificate: string;
  readonly key: string;
  /** What is between the signer and its root; may begin with the one and end with the other, and may be empty. */
  readonly chain: string;
  readonly roots: string;
}

export type MaterialPart = keyof CaMaterial;

/** The parts' names of files, or keys of a Secret. */
export type MaterialKeys = Readonly<Record<MaterialPart, string>>;

/** Istio's own names. */
export const istioKeys: MaterialKeys = { certificate: 'ca-cert.pem', key: 'ca-key.pem', chain: 'cert-chain.pem', roots: 'root-cert.pem' };
/** Those of the type kubernetes.io/tls, as cert-manager writes them: the chain stands behind the certificate. */
const tlsKeys: MaterialKeys = { certificate: 'tls.crt', key: 'tls.key', chain: 'tls.crt', roots: 'ca.crt' };

/** Something is wrong with one part. */
export class MaterialFault extends CredentialFault {
  readonly part: MaterialPart;

  constructor(part: MaterialPart, fault: CredentialFault) {
    super(fault.code, fault.message, { cause: fault });
    this.name = 'MaterialFault';
    this.part = part;
  }
}

/** In which of the two forms `cacerts` is given. */
export function pluggedKeys(found: (name: string) => string | undefined): MaterialKeys {
  return found(istioKeys.certificate) === undefined && found(tlsKeys.certificate) !== undefined ? tlsKeys : istioKeys;
}

/** Throws a MaterialFault that names the part that is missing. */
export function materialIn(found: (name: string) => string | undefined, keys: MaterialKeys, where: string): CaMaterial {
  const text = (part: MaterialPart): string => {
    const value = found(keys[part]);
    if (value !== undefined) return value;
    throw new MaterialFault(part, new CredentialFault('certificate', `${where} has no ${keys[part]}`));
  };
  return { certificate: text('certificate'), key: text('key'), chain: found(keys.chain) ?? '', roots: text('roots') };
}
