/** Kubernetes Services as the traffic tests need them; everything that a test is about stands in it as YAML. */
import { stringify } from 'yaml';

export interface ServiceOptions {
  readonly namespace?: string;
  /** Reached here from every pod: there is no DNS. */
  readonly clusterIp: string;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort?: number }[];
  readonly selector?: Readonly<Record<string, string>>;
}

export function service(name: string, { namespace = 'shop', clusterIp, ports, selector = { app: name } }: ServiceOptions): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { clusterIP: clusterIp, ports, selector },
  });
}

/** Several documents of one file. */
export function documents(...yaml: readonly string[]): string {
  return yaml.map((document) => document.trim()).join('\n---\n');
}
