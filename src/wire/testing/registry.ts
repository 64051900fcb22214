import { readFileSync } from 'node:fs';
import { fullRegistry } from '../registry.ts';

/** All of Envoy's API, for tests; the daemon gets the bytes handed in. */
export const registry = fullRegistry(readFileSync(new URL('../../../generated/descriptors.binpb', import.meta.url)));
