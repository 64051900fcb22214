import type { TSchema } from 'typebox';

/** What is known of a configuration kind: enough for the validator, the CRD and a client's URLs. */
export interface KindSchema<K extends string = string, S extends TSchema = TSchema> {
  readonly kind: K;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  /** Empty for the core group. */
  readonly group: string;
  /** Served versions, the stored one first; all have the same schema. */
  readonly versions: readonly [string, ...string[]];
  readonly scope: 'Namespaced' | 'Cluster';
  /** Whether `ConfigObject.spec` is the object's `spec` or, for kinds without one, the object without type and metadata. */
  readonly body: 'spec' | 'object';
  readonly schema: S;
  /** What is read of `status`, of kinds whose body is `spec`; absent: nothing. A status that does not fit is as none. */
  readonly status?: TSchema;
  /** Where `spec` itself may not be left out. */
  readonly specRequired?: boolean;
  /**
   * `report`: the schema is the whole kind, so that anything else is a mistake. `ignore`: the schema holds only the fields read here, and the rest
   * is another component's business (Kubernetes' own kinds).
   */
  readonly unknownFields: 'report' | 'ignore';
  /** Only for kinds whose CRD is ours to install. */
  readonly crd?: CrdExtras;
}

export interface CrdExtras {
  readonly categories: readonly string[];
  readonly columns: readonly PrinterColumn[];
}

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'date' | 'integer';
  readonly jsonPath: string;
  readonly description: string;
}

/** `networking.istio.io/v1`, or `v1` for the core group. */
export function apiVersionOf(kind: Pick<KindSchema, 'group' | 'versions'>, version: string = kind.versions[0]): string {
  return kind.group === '' ? version : `${kind.group}/${version}`;
}

const ageColumn: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time at which the API server created the object.',
};

type IstioKind<K extends string, S extends TSchema> = Pick<KindSchema<K, S>, 'kind' | 'plural' | 'schema'> &
  Partial<Pick<KindSchema, 'shortNames' | 'specRequired'>> & { readonly columns?: readonly PrinterColumn[] };

/** A kind of networking.istio.io. */
export function networkingKind<K extends string, S extends TSchema>({ columns = [], ...kind }: IstioKind<K, S>): KindSchema<K, S> {
  return {
    ...kind,
    group: 'networking.istio.io',
    versions: ['v1', 'v1alpha3', 'v1beta1'],
    scope: 'Namespaced',
    body: 'spec',
    unknownFields: 'report',
    crd: { categories: ['istio-io', 'networking-istio-io'], columns: columns.length === 0 ? [] : [...columns, ageColumn] },
  };
}

/** A kind of security.istio.io. */
export function securityKind<K extends string, S extends TSchema>({ columns = [], ...kind }: IstioKind<K, S>): KindSchema<K, S> {
  return {
    ...kind,
    group: 'security.istio.io',
    versions: ['v1', 'v1beta1'],
    scope: 'Namespaced',
    body: 'spec',
    unknownFields: 'report',
    crd: { categories: ['istio-io', 'security-istio-io'], columns: columns.length === 0 ? [] : [...columns, ageColumn] },
  };
}

/** A kind of Kubernetes itself, declared by the fields that the mesh reads. */
export function kubernetesKind<K extends string, S extends TSchema>(
  kind: Pick<KindSchema<K, S>, 'kind' | 'plural' | 'group' | 'schema' | 'body'> & Partial<Pick<KindSchema, 'scope' | 'status'>>,
): KindSchema<K, S> {
  return { scope: 'Namespaced', versions: ['v1'], unknownFields: 'ignore', ...kind };
}
