/** CustomResourceDefinitions, generated from the schemas. */
import { istioStatus } from './common.ts';
import type { KindSchema } from './kind.ts';
import type { Rule } from './rules.ts';

/** A JSON schema in the form of Kubernetes (structural schema). */
export type OpenApiSchema = { readonly [keyword: string]: unknown };

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: Readonly<Record<string, string | readonly string[]>>;
    readonly versions: readonly Readonly<Record<string, unknown>>[];
  };
}

/** Throws for kinds that are not ours to define. */
export function toCrd(definition: KindSchema): CustomResourceDefinition {
  const { kind, plural, group, scope, versions, shortNames = [], crd } = definition;
  if (crd === undefined) throw new Error(`${kind} is defined by Kubernetes itself`);
  const schema = {
    openAPIV3Schema: {
      type: 'object',
      properties: { spec: toOpenApi(definition.schema), status: toOpenApi(istioStatus) },
      ...(definition.specRequired === true && { required: ['spec'] }),
    },
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        categories: crd.categories,
        ...(shortNames.length > 0 && { shortNames }),
      },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        subresources: { status: {} },
        schema,
        ...(crd.columns.length > 0 && { additionalPrinterColumns: crd.columns }),
      })),
    },
  };
}

/** The schema without what only this program reads: the TypeScript form of rules. */
function toOpenApi(schema: unknown): OpenApiSchema {
  return JSON.parse(
    JSON.stringify(schema, (keyword, value: unknown) =>
      keyword === 'x-kubernetes-validations' ? (value as readonly Rule[]).map(({ message, rule }) => ({ message, rule })) : value,
    ),
  ) as OpenApiSchema;
}
