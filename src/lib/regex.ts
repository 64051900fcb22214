/**
 * Why a regular expression is not one of RE2, which Envoy takes, or undefined. Its grammar is compared with JavaScript's after the differences are
 * taken out; nothing is ever matched with it here.
 */
export function re2Fault(pattern: string): string | undefined {
  const own = /\(\?<?[=!]/.exec(pattern)?.[0];
  if (own !== undefined) return `RE2 has no look-around: ${own}`;
  const reference = /(?<!\\)(?:\\\\)*\\([1-9])/.exec(pattern)?.[1];
  if (reference !== undefined) return `RE2 has no back-references: \\${reference}`;
  const portable = pattern
    .replaceAll('(?P<', '(?<')
    .replace(/\(\?[imsU]*(?:-[imsU]+)?\)/g, '')
    .replace(/\(\?[imsU]*(?:-[imsU]+)?:/g, '(?:')
    .replace(/\[:\^?[a-z]+:\]/g, 'a')
    .replace(/\\Q.*?(?:\\E|$)/g, 'a');
  try {
    RegExp(portable);
    return undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return error.message.replace(/^Invalid regular expression: /, '');
  }
}
