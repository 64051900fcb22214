import { createXXHash128 } from 'hash-wasm';

/** One hasher for the module: hashing is synchronous, so that no two uses overlap. Compiling it takes about 2 ms, once. */
const hasher = await createXXHash128();

/**
 * Version of encoded bytes: XXH3 with 128 bits, 32 hexadecimal digits. Equal bytes have equal versions on every replica
 * and after every restart. 128 bits make a chance collision irrelevant; it is not a cryptographic hash and proves nothing.
 * About 0.6 us for 1 KB.
 */
export function hash(...pieces: readonly Uint8Array[]): string {
  hasher.init();
  for (const piece of pieces) hasher.update(piece);
  return hasher.digest('hex');
}
