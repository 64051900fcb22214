/** The common shape of every configuration object, whatever source it came from. */

/** Where an object was read: a document of a file, or a version in an API server. */
export interface Origin {
  readonly file?: string;
  /** First line of the document, 1-based. */
  readonly line?: number;
  /** Line of a field by its path, when the source kept the document's syntax tree. */
  readonly lineOf?: (path: string) => number | undefined;
  readonly resourceVersion?: string;
  /** Cluster id, for objects of a remote cluster. */
  readonly cluster?: string;
}

/** `Kind/namespace/name`; the namespace is empty for cluster-scoped kinds. Of a remote cluster `Kind/namespace/name@cluster`. */
export type ObjectKey = string & { readonly __brand: 'ObjectKey' };

export interface ConfigObject<K extends string = string, S = unknown> {
  readonly kind: K;
  /** `networking.istio.io/v1`, `v1`, ...: as it was written. */
  readonly apiVersion: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** RFC 3339; absent for files. Ties are broken by it, then by namespace and name. */
  readonly creationTimestamp?: string;
  readonly generation?: number;
  /** `spec` of the kinds that have one; for Secret and ConfigMap the object without its metadata. */
  readonly spec: S;
  /** Of the few kinds whose status says where something can be reached. */
  readonly status?: unknown;
  readonly origin: Origin;
  /**
   * Stands in for an object of a security kind that is refused and has no earlier version: it holds at most the selector, and protects as much as
   * can be protected. Absent from all others.
   */
  readonly unreadable?: true;
  /**
   * Its `istio.io/rev` names no revision or tag that is known here, and tags cannot be read: it may be meant for this control plane or not. Only of objects that
   * protect, which are in force as far as they refuse, never where they would open what others close. Absent from all others.
   */
  readonly undecidedTag?: string;
}

/** Names of Kubernetes hold no `@`, and ids of clusters, being keys of a Secret, no `/`. */
export function objectKey(kind: string, namespace: string, name: string, cluster?: string): ObjectKey {
  // Joined, it is one string: of a template V8 keeps the tree of its parts, 200 bytes for each of the many that are kept.
  return [kind, namespace, cluster === undefined ? name : name + inCluster(cluster)].join('/') as ObjectKey;
}

export function keyOf(object: Pick<ConfigObject, 'kind' | 'namespace' | 'name'> & { readonly origin?: Origin }): ObjectKey {
  return objectKey(object.kind, object.namespace, object.name, object.origin?.cluster);
}

/** What keys of a remote cluster's objects end with; nothing for the cluster whose configuration is read. */
export function inCluster(cluster: string | undefined): string {
  return cluster === undefined ? '' : `@${cluster}`;
}

/** Oldest first; then by namespace and name, as Istio breaks ties. */
export function byAge(a: ConfigObject, b: ConfigObject): number {
  const ta = a.creationTimestamp ?? '';
  const tb = b.creationTimestamp ?? '';
  if (ta !== tb) return ta < tb ? -1 : 1;
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** `file:line`, or the resource version, for messages. */
export function originText(origin: Origin): string {
  if (origin.file !== undefined) return origin.line === undefined ? origin.file : `${origin.file}:${origin.line}`;
  return origin.resourceVersion === undefined ? '' : `resourceVersion ${origin.resourceVersion}`;
}
