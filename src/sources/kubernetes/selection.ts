/** Which namespaces the mesh reads: MeshConfig's `discoverySelectors`, any of which may select. */
import { matchesLabels } from '../../lib/labels.ts';

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined;
  readonly matchExpressions?:
    readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | undefined }[] | undefined;
}

export class NamespaceSelection {
  private selectors: readonly LabelSelector[] = [];
  private readonly labels = new Map<string, Readonly<Record<string, string>>>();
  private readonly selected = new Set<string>();

  /** Everything is read while there are no selectors; what has no namespace always is. */
  has(namespace: string): boolean {
    return this.selectors.length === 0 || namespace === '' || this.selected.has(namespace);
  }

  /** True where some namespace is selected or not selected differently now. */
  setSelectors(selectors: readonly LabelSelector[]): boolean {
    if (JSON.stringify(selectors) === JSON.stringify(this.selectors)) return false;
    this.selectors = selectors;
    this.selected.clear();
    for (const [namespace, labels] of this.labels) if (this.selects(labels)) this.selected.add(namespace);
    return true;
  }

  /** True where the namespace is selected and was not, or the other way round. */
  setLabels(namespace: string, labels: Readonly<Record<string, string>> | undefined): boolean {
    if (labels === undefined) this.labels.delete(namespace);
    else this.labels.set(namespace, labels);
    const before = this.selected.has(namespace);
    const now = labels !== undefined && this.selects(labels);
    if (now) this.selected.add(namespace);
    else this.selected.delete(namespace);
    return before !== now && this.selectors.length > 0;
  }

  private selects(labels: Readonly<Record<string, string>>): boolean {
    return this.selectors.some((selector) => matchesSelector(selector, labels));
  }
}

/** As Kubernetes does; an operator that it does not have selects nothing. */
export function matchesSelector(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    matchesLabels(matchLabels, labels) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        default:
          return false;
      }
    })
  );
}
