import { fieldPath } from '../../lib/path.ts';
import type { Secret } from '../secret.ts';
import type { Report } from '../structure.ts';

/** Values of a Secret are never part of a message. */
export function validateSecret({ spec }: Secret, report: Report): void {
  for (const [name, value] of Object.entries(spec.data ?? {})) {
    if (!isBase64(value)) report(fieldPath('data', name), 'must be base64; plain text belongs in stringData');
  }
}

function isBase64(value: string): boolean {
  const text = value.replace(/[\r\n]/g, '');
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}
