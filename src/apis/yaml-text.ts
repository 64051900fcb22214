/** Configuration that is a text inside of an object. */
import { parseDocument } from 'yaml';
import { beyondLimits } from './limits.ts';
import { isObject, quote, type Report } from './structure.ts';

const maxTextLength = 1024 * 1024;

/** The map that the text is; an empty text is an empty one. Undefined with a report where it is none. */
export function readYamlMap(text: string, report: Report): Record<string, unknown> | undefined {
  if (text.length > maxTextLength) {
    report('', `has more than ${maxTextLength} characters`);
    return undefined;
  }
  const value = readYaml(text, report);
  if (value === undefined) return undefined;
  if (!isObject(value)) {
    report('', `must be a map; found ${quote(value)}`);
    return undefined;
  }
  const beyond = beyondLimits(value);
  if (beyond !== undefined) {
    report('', beyond);
    return undefined;
  }
  return value;
}

function readYaml(text: string, report: Report): unknown {
  try {
    const document = parseDocument(text, { merge: true, prettyErrors: true, logLevel: 'silent' });
    for (const error of document.errors) report('', error.message.split('\n')[0] ?? '');
    return document.errors.length > 0 ? undefined : ((document.toJS({ maxAliasCount: 100 }) as unknown) ?? {});
  } catch (error) {
    report('', error instanceof RangeError ? 'is nested too deeply' : error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
