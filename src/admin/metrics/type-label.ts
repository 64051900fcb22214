import { shortName, typeOfShortName } from '../../wire/types.ts';
import type { TypeUrl } from '../../xds/source.ts';

/** A stream may ask for any type URL: those that are not ours share one label value, or callers could make as many series as they like. */
export const otherType = 'other';

/** `cds`, `eds`, `nds` and so on, as istiod's label `type` has them; `vhds` is ours. */
export function typeLabel(type: TypeUrl): string {
  const short = shortName(type);
  return typeOfShortName(short) === type ? short.toLowerCase() : otherType;
}

/** The type URL, as istiod labels the sizes of responses. */
export function typeUrlLabel(type: TypeUrl): string {
  return typeLabel(type) === otherType ? otherType : type;
}
