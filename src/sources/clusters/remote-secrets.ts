/** Secrets that give access to remote clusters: which cluster each key names, who wins where two name one, and what is wrong with them. */
import { objectKey, type ObjectKey } from '../../apis/object.ts';
import type { Problem } from '../../apis/problem.ts';
import { isRecord, type RawObject } from '../../kubernetes/list.ts';
import { parseUntrustedKubeconfig, type UntrustedAccess, type UntrustedKubeconfig } from '../../kubernetes/untrusted-kubeconfig.ts';

/** As Istio marks them. */
export const remoteSecretSelector = 'istio/multiCluster=true';
const clusterAnnotation = 'networking.istio.io/cluster';

/** What is kept of such a Secret. */
export interface RemoteSecret {
  readonly namespace: string;
  readonly name: string;
  readonly creationTimestamp: string;
  readonly resourceVersion: string;
  /** Annotation `networking.istio.io/cluster`. */
  readonly annotated: string | undefined;
  /** Kubeconfigs in base64, by id of the cluster. */
  readonly data: Readonly<Record<string, string>>;
}

export function trimRemoteSecret({ metadata, data }: RawObject): RemoteSecret {
  const { annotations, creationTimestamp } = metadata;
  const annotated = isRecord(annotations) ? annotations[clusterAnnotation] : undefined;
  const texts = isRecord(data) ? Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === 'string') : [];
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    creationTimestamp: typeof creationTimestamp === 'string' ? creationTimestamp : '',
    resourceVersion: metadata.resourceVersion,
    annotated: typeof annotated === 'string' ? annotated : undefined,
    data: Object.fromEntries(texts),
  };
}

export interface WantedCluster {
  readonly id: string;
  readonly secret: RemoteSecret;
  /** As written: equal texts are one access. */
  readonly kubeconfig: string;
  /** Absent where the kubeconfig cannot be used. */
  readonly access: UntrustedAccess | undefined;
}

export interface WantedClusters {
  readonly clusters: ReadonlyMap<string, WantedCluster>;
  readonly problems: readonly Problem[];
}

/** Ids are part of keys, file names of nobody, and label values of metrics. */
const idPattern = /^[-._a-zA-Z0-9]{1,253}$/;

export class RemoteSecrets {
  private readonly ownId: string;
  private readonly secrets = new Map<string, RemoteSecret>();
  private parsed = new Map<string, UntrustedKubeconfig>();

  constructor(ownId: string) {
    this.ownId = ownId;
  }

  /** True for one that was not there. */
  put(secret: RemoteSecret): boolean {
    const key = `${secret.namespace}/${secret.name}`;
    const isNew = !this.secrets.has(key);
    this.secrets.set(key, secret);
    return isNew;
  }

  /** `namespace/name`. */
  delete(key: string): void {
    this.secrets.delete(key);
  }

  /** Where two Secrets name one cluster, the older one counts, then the first by name. */
  wanted(): WantedClusters {
    const clusters = new Map<string, WantedCluster>();
    const problems: Problem[] = [];
    const before = this.parsed;
    this.parsed = new Map();
    for (const secret of [...this.secrets.values()].sort(byAge)) {
      const report = reporter(secret, problems);
      if (secret.annotated !== undefined && !(secret.annotated in secret.data))
        report(
          `metadata.annotations["${clusterAnnotation}"]`,
          'Conflict',
          'warning',
          `names no key of data: the keys are the ids of clusters`,
        );
      for (const [id, kubeconfig] of Object.entries(secret.data)) {
        const path = `data["${id}"]`;
        const other = clusters.get(id)?.secret;
        if (!idPattern.test(id)) report(path, 'Invalid', 'error', 'is no id of a cluster: use letters, digits, ".", "-" and "_"');
        else if (id === this.ownId)
          report(path, 'Conflict', 'warning', `is ignored: ${id} is the cluster whose configuration is read; see --cluster-id`);
        else if (other !== undefined)
          report(path, 'Conflict', 'error', `is ignored: Secret ${other.namespace}/${other.name}, which is older, names cluster ${id} too`);
        else {
          const parsed = before.get(kubeconfig) ?? parseUntrustedKubeconfig(Buffer.from(kubeconfig, 'base64').toString('utf8'));
          this.parsed.set(kubeconfig, parsed);
          clusters.set(id, { id, secret, kubeconfig, access: parsed.access });
          const at = (inside: string): string => (inside === '' ? path : `${path}: ${inside}`);
          for (const fault of parsed.faults)
            report(at(fault.path), 'Invalid', 'error', `${fault.message}. A connection by an earlier kubeconfig stays in force`);
          for (const warning of parsed.warnings) report(at(warning.path), 'Unsupported', 'warning', warning.message);
        }
      }
    }
    return { clusters, problems };
  }
}

export function secretKey({ namespace, name }: RemoteSecret): ObjectKey {
  return objectKey('Secret', namespace, name);
}

function reporter(secret: RemoteSecret, problems: Problem[]) {
  const object = secretKey(secret);
  const origin = { resourceVersion: secret.resourceVersion };
  return (path: string, reason: Problem['reason'], severity: Problem['severity'], message: string): void =>
    void problems.push({ object, path, reason, severity, message, origin });
}

function byAge(a: RemoteSecret, b: RemoteSecret): number {
  const [ka, kb] = [a, b].map((s) => [s.creationTimestamp, s.namespace, s.name].join('\0')) as [string, string];
  return ka < kb ? -1 : ka > kb ? 1 : 0;
}
