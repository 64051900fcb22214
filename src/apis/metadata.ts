/** Type and metadata of an object, as every Kubernetes object has them. */
import { fieldPath } from '../lib/path.ts';
import { isObject, quote, type Report } from './structure.ts';

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  readonly generation?: number;
  readonly resourceVersion?: string;
}

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** The metadata, or undefined where the API server would refuse it. An object without a namespace is in `default`, as for kubectl. */
export function readMetadata(raw: unknown, scope: 'Namespaced' | 'Cluster', report: Report): Metadata | undefined {
  if (!isObject(raw)) {
    report('metadata', 'is required', 'Invalid', 'error');
    return undefined;
  }
  const { name, namespace, creationTimestamp, generation, resourceVersion } = raw;
  const faults: [path: string, message: string][] = [];
  if (typeof name !== 'string' || name === '') faults.push(['metadata.name', 'is required']);
  else if (name.length > 253 || !subdomain.test(name)) {
    faults.push(['metadata.name', `must be lower case letters, digits, "-" and "." (a DNS name); found ${quote(name)}`]);
  }
  if (scope === 'Namespaced' && namespace !== undefined && namespace !== null) {
    if (typeof namespace !== 'string' || namespace.length > 63 || !label.test(namespace)) {
      faults.push(['metadata.namespace', `must be lower case letters, digits and "-" (a DNS label); found ${quote(namespace)}`]);
    }
  }
  const labels = readStrings(raw['labels'], 'metadata.labels', faults);
  const annotations = readStrings(raw['annotations'], 'metadata.annotations', faults);
  for (const [path, message] of faults) report(path, message, 'Invalid', 'error');
  if (faults.length > 0 || typeof name !== 'string') return undefined;
  return {
    name,
    namespace: scope === 'Cluster' ? '' : typeof namespace === 'string' ? namespace : 'default',
    labels,
    annotations,
    ...(typeof creationTimestamp === 'string' && { creationTimestamp }),
    ...(typeof generation === 'number' && { generation }),
    ...(typeof resourceVersion === 'string' && { resourceVersion }),
  };
}

function readStrings(raw: unknown, path: string, faults: [string, string][]): Record<string, string> {
  const strings: Record<string, string> = {};
  if (raw === undefined || raw === null) return strings;
  if (!isObject(raw)) {
    faults.push([path, `must be a map; found ${quote(raw)}`]);
    return strings;
  }
  for (const [key, value] of Object.entries(raw)) {
    if (key === '__proto__') faults.push([fieldPath(path, key), 'is no valid key']);
    else if (typeof value === 'string') strings[key] = value;
    else faults.push([fieldPath(path, key), `must be a string; found ${quote(value)}; put it in quotes`]);
  }
  return strings;
}
