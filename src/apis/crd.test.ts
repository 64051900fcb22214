import { existsSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { describe, expect, it } from 'vitest';
import { toCrd } from './crd.ts';
import type { KindSchema } from './kind.ts';
import { kinds } from './kinds.ts';

const file = new URL('../../../shared/conformance/crds/cases/istio-crds/istio-crds.yaml', import.meta.url);
const found = existsSync(file);
if (!found && process.env['CI'] !== undefined) throw new Error(`Istio's CRDs are needed to compare with: ${file.pathname} is missing`);

interface Crd {
  spec: { group: string; scope: string; names: Record<string, unknown>; versions: Record<string, unknown>[] };
}

/** Without descriptions, which are documentation, and with the order of sets taken out. */
function comparable(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(comparable);
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(([keyword, value]) => !(keyword === 'description' && typeof value === 'string'));
  return Object.fromEntries(
    entries.map(([keyword, value]) => [keyword, keyword === 'required' && Array.isArray(value) ? value.toSorted() : comparable(value)]),
  );
}

const istioCrds = new Map<string, Crd>(
  !found
    ? []
    : parseAllDocuments(readFileSync(file, 'utf8'))
        .map((document) => document.toJS() as Crd | null)
        .filter((crd) => crd !== null)
        .map((crd) => [`${crd.spec.group}/${crd.spec.names['kind'] as string}`, crd]),
);

const ours = (kinds as readonly KindSchema[]).filter((kind) => kind.crd !== undefined);

describe.skipIf(!found)(`generated CRDs equal Istio's${found ? '' : ' (skipped: conformance data is not beside the repository)'}`, () => {
  it('covers twelve kinds', () => {
    expect(ours.map((kind) => kind.kind)).toHaveLength(12);
  });

  it.each(ours.map((kind) => [kind.kind, kind] as const))('%s', (_name, kind) => {
    const theirs = istioCrds.get(`${kind.group}/${kind.kind}`);
    const generated = toCrd(kind);
    expect(generated.spec.scope).toBe(theirs?.spec.scope);
    expect(generated.spec.names).toEqual(theirs?.spec.names);
    expect(generated.spec.versions.map((version) => version['name'])).toEqual(theirs?.spec.versions.map((version) => version['name']));
    for (const [index, version] of generated.spec.versions.entries()) {
      const expected = theirs?.spec.versions[index];
      expect(comparable(version['schema'])).toEqual(comparable(expected?.['schema']));
      expect(version['storage']).toBe(expected?.['storage']);
      const columns = (columnsOf: unknown) =>
        ((columnsOf ?? []) as Record<string, unknown>[]).map((column) => column['jsonPath']).toSorted();
      expect(columns(version['additionalPrinterColumns'])).toEqual(columns(expected?.['additionalPrinterColumns']));
    }
  });
});
