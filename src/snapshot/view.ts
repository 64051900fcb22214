/** The mesh as it is seen from one cluster, and what its parts are translated with. */
import { Mesh, type MeshOptions } from '../mesh/mesh.ts';
import type { Objects } from '../mesh/objects.ts';
import { Visibility } from '../mesh/visibility.ts';
import type { Capabilities } from '../mesh/model.ts';
import { identitiesTable, type Translation } from './translation.ts';

/**
 * Services of several clusters are one service of the mesh, and each cluster has addresses of its own for it: so a proxy sees the mesh from its cluster. There
 * is one view more for each remote cluster that has proxies here, and none for those that only have endpoints. A view has services, endpoints and visibility of
 * its own, and shares all else. It ends when the cluster has gone and no proxy is seen there any more.
 */
export class View {
  readonly mesh: Mesh;
  readonly visibility: Visibility;
  private readonly encoder: Translation['encoder'];
  private readonly report: Translation['report'];
  private readonly onFault: MeshOptions['onFault'];
  private readonly translations = new Map<string, Translation>();

  constructor(objects: Objects, options: MeshOptions & Pick<Translation, 'encoder' | 'report'>) {
    const { encoder, report, ...meshOptions } = options;
    this.mesh = new Mesh(objects, meshOptions);
    this.visibility = new Visibility(this.mesh, options.onFault);
    // All views share the networks.
    if (options.like === undefined) this.mesh.networks.onProblems((problems) => report('networks', problems));
    this.encoder = encoder;
    this.report = report;
    this.onFault = options.onFault;
  }

  /** Of a cluster that is gone. No part may be translated with it any more. */
  dispose(): void {
    this.translations.clear();
    this.visibility.dispose();
    this.mesh.dispose();
  }

  translation(capabilities: Capabilities): Translation {
    const key = capabilitiesKey(capabilities);
    let t = this.translations.get(key);
    if (t === undefined) {
      t = {
        mesh: this.mesh,
        visibility: this.visibility,
        encoder: this.encoder,
        capabilities,
        identities: identitiesTable(this.mesh),
        report: this.report,
        onFault: this.onFault,
      };
      this.translations.set(key, t);
    }
    return t;
  }
}

export function capabilitiesKey({ kind, secrets }: Capabilities): string {
  return secrets === undefined ? kind : `${kind} with ${secrets}`;
}
