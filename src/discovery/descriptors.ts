import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Registry } from '@bufbuild/protobuf';
import { fullRegistry } from '../wire/registry.ts';
import { loadServices, type Services } from '../wire/services.ts';

/** Finds `generated/` by the package's import map, from src/ and from dist/ alike. */
const { resolve } = createRequire(import.meta.url);

/** Every message type of Envoy's API and our own, read from `generated/`. */
export function readRegistry(): Registry {
  return fullRegistry(readFileSync(resolve('#gen/descriptors.binpb')));
}

/** The gRPC services that we serve, read from `generated/`. */
export function readServices(): Services {
  return loadServices(readFileSync(resolve('#gen/services.binpb')));
}
