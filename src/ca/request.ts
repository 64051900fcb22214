/** A request to the certificate authority, as it is left for it: in an annotation, or in a file of the state folder. */
import type { CaRequest } from './rotation.ts';

/** Undefined for what is none. */
export function parseRequest(text: string): CaRequest | undefined {
  try {
    const { id, action } = JSON.parse(text) as Partial<CaRequest>;
    return typeof id === 'string' && id !== '' && id.length <= 100 && (action === 'rotate' || action === 'abort')
      ? { id, action }
      : undefined;
  } catch {
    return undefined;
  }
}
