/** Something wrong with a protobuf message or its JSON form, at a place inside it. */
export interface Violation {
  /** `filter_chains[0].filters[1].typed_config<envoy...HttpConnectionManager>.stat_prefix`; empty for the message itself. */
  readonly path: string;
  /** For a human: what is wrong. */
  readonly message: string;
}

/** `a` + `b` is `a.b`; an empty base gives the field alone. */
export function fieldPath(base: string, field: string): string {
  return base === '' ? field : `${base}.${field}`;
}

export function indexPath(base: string, index: number): string {
  return `${base}[${index}]`;
}

/** Keys are quoted, since Envoy's own contain dots (`filter_metadata["envoy.lb"]`). */
export function keyPath(base: string, key: string): string {
  return `${base}[${JSON.stringify(key)}]`;
}

/** The message inside an Any, by its full name. */
export function anyPath(base: string, typeName: string): string {
  return `${base}<${typeName}>`;
}
