/** YAML text to plain values, with positions, and with bounds on what aliases may multiply. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import { pathSteps } from '../../lib/path.ts';

export interface SyntaxFault {
  /** 1-based, in the text. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface YamlResult {
  /** Values of the documents without a fault; empty documents are left out. */
  readonly values: readonly { readonly value: unknown; readonly document: number; readonly line: number }[];
  readonly faults: readonly SyntaxFault[];
}

/** How often aliases may be expanded in one document; a manifest needs a handful, a bomb millions. */
const maxAliasCount = 100;

/** YAML 1.2 as Kubernetes reads it, with merge keys. */
function parseDocuments(text: string): { documents: Document[]; lines: LineCounter } {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, merge: true, uniqueKeys: true, prettyErrors: false, logLevel: 'silent' });
  return { documents: Array.isArray(documents) ? documents : [], lines };
}

/** Never throws. JSON is read by the same parser: it is YAML, and keeps its positions so. */
export function parseYaml(text: string): YamlResult {
  const values: { value: unknown; document: number; line: number }[] = [];
  const faults: SyntaxFault[] = [];
  try {
    const { documents, lines } = parseDocuments(text);
    documents.forEach((document, index) => {
      for (const { pos, message } of document.errors) {
        const { line, col } = lines.linePos(pos[0]);
        faults.push({ line, column: col, message });
      }
      if (document.errors.length > 0) return;
      const line = lines.linePos(document.contents?.range?.[0] ?? 0).line;
      try {
        const value: unknown = document.toJS({ maxAliasCount });
        if (value !== null && value !== undefined) values.push({ value, document: index, line });
      } catch (error) {
        faults.push({ line, column: 1, message: messageOf(error) });
      }
    });
  } catch (error) {
    faults.push({ line: 1, column: 1, message: messageOf(error) });
  }
  return { values, faults };
}

/** Deep nesting exhausts the parser's stack before any limit of ours is asked. */
function messageOf(error: unknown): string {
  if (error instanceof RangeError) return 'is nested too deeply';
  return error instanceof Error ? error.message : String(error);
}

/** Finds lines of fields on demand. Syntax trees are many times larger than their text, so that only the last one is kept. */
export class FieldLines {
  #text: string | undefined;
  #parsed: { documents: Document[]; lines: LineCounter } | undefined;

  /** Line in `text` (1-based) of the field that `path` names, or of the nearest one around it. */
  lineOf(text: string, document: number, path: readonly (string | number)[]): number | undefined {
    if (this.#text !== text) {
      this.#text = text;
      this.#parsed = undefined;
      try {
        this.#parsed = parseDocuments(text);
      } catch (error) {
        // Text that does not parse has no fields; the fault itself is reported where the text is read.
        if (!(error instanceof Error)) throw error;
      }
    }
    const root = this.#parsed?.documents[document];
    if (root === undefined || this.#parsed === undefined) return undefined;
    const offset = offsetOf(root, path);
    return offset === undefined ? undefined : this.#parsed.lines.linePos(offset).line;
  }
}

function offsetOf(document: Document, path: readonly (string | number)[]): number | undefined {
  let node: Node | null | undefined = document.contents as Node | null;
  let offset = node?.range?.[0];
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node) && typeof step === 'number') {
      node = node.items[step] as Node | undefined;
      if (node?.range === undefined || node.range === null) return offset;
      offset = node.range[0];
    } else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) return offset;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else return offset;
  }
  return offset;
}

/** `items[3]` before a path inside the element, for the elements of a List. */
export function stepsOf(prefix: string, path: string): (string | number)[] {
  return [...pathSteps(prefix), ...pathSteps(path)];
}
