/** The Python wheel that carries current descriptors of Envoy's API. */
import { unzipSync } from 'fflate';
import { fetchWheel, type Wheel } from '../src/cli/download/wheel.ts';

export { cacheDir } from '../src/cli/download/wheel.ts';

const wheel: Wheel = {
  name: 'xds-protos',
  version: '1.85.0',
  sha256: { any: 'e1e7bfd9936389936b2c85660d9db0dae380f12678a594b983da40dd472f1760' },
  instead: '.',
};

/** Entries of the wheel with Envoy's API as Python descriptors, by path in the wheel. */
export async function xdsProtosWheel(): Promise<Record<string, Uint8Array>> {
  return unzipSync(await fetchWheel(wheel), { filter: (f) => f.name.endsWith('_pb2.py') });
}

export const xdsProtosVersion = wheel.version;
