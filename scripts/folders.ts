/** The folder table of docs/architecture.md as data: what each folder of src/ may import. `scripts/dependencies.ts` enforces it. */

export interface FolderRule {
  /** Folders whose rows it inherits too. */
  readonly imports: readonly string[];
  /** Folders of which only `import type` is allowed. */
  readonly types?: readonly string[];
  /** No `node:` module, clock, environment, network or randomness: it runs in a browser and offline. */
  readonly pure?: true;
}

/** From the leaves to the edge; a folder may only name folders above it. */
export const folders: Readonly<Record<string, FolderRule>> = {
  lib: { imports: [], pure: true },
  apis: { imports: ['lib'], pure: true },
  store: { imports: ['lib'], types: ['apis'], pure: true },
  wire: { imports: ['lib'], pure: true },
  convert: { imports: ['apis'], pure: true },
  mesh: { imports: ['apis', 'convert', 'store'], pure: true },
  envoy: { imports: ['mesh', 'wire'], pure: true },
  simulate: { imports: ['wire'], pure: true },
  analysis: { imports: ['apis', 'mesh', 'store'], pure: true },
  injection: { imports: ['apis'], pure: true },
  // The interface that snapshot implements belongs to the streams, which define what they need.
  snapshot: { imports: ['store', 'mesh', 'envoy', 'wire'], types: ['xds'], pure: true },
  kubernetes: { imports: ['lib'] },
  sources: { imports: ['apis', 'store', 'kubernetes'] },
  identity: { imports: ['lib'] },
  // In a cluster it is kept in Secrets.
  ca: { imports: ['identity', 'wire', 'store', 'kubernetes'] },
  // A refusal is reported as a problem of an object.
  xds: { imports: ['wire', 'identity'], types: ['apis'] },
  controllers: { imports: ['apis', 'store', 'kubernetes'] },
  admission: { imports: ['analysis', 'injection'] },
  // Read-only views: it may name what it shows, and calls nothing that changes anything.
  admin: { imports: ['apis', 'wire'], types: ['store', 'mesh', 'envoy', 'snapshot', 'sources', 'identity', 'ca', 'xds'] },
  discovery: {
    imports: ['convert', 'snapshot', 'sources', 'ca', 'xds', 'controllers', 'admission', 'admin'],
  },
  cli: { imports: ['discovery', 'simulate'] },
};

/** Packages that read the clock, the network, the environment or random numbers, and so have no place in the pure core. */
export const impurePackages: readonly string[] = [
  '@grpc/grpc-js',
  '@kubernetes/client-node',
  'commander',
  'fastify',
  'jose',
  'node-forge',
  'pino',
  'prom-client',
];

/** Packages with one home, so that they can be replaced. */
export const packageHomes: Readonly<Record<string, readonly string[]>> = {
  'alien-signals': ['store'],
  '@kubernetes/client-node': ['kubernetes'],
  commander: ['cli'],
  fastify: ['admission', 'admin'],
};

/** What `folder` may import: its row and the rows of those; `types` are not inherited. */
export function allowed(folder: string): { values: ReadonlySet<string>; types: ReadonlySet<string> } {
  const values = new Set<string>();
  const visit = (name: string): void => {
    if (values.has(name)) return;
    values.add(name);
    for (const next of folders[name]?.imports ?? []) visit(next);
  };
  visit(folder);
  return { values, types: new Set(folders[folder]?.types ?? []) };
}
