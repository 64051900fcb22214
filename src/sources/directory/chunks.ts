/** Splits a file into its YAML documents before any parsing, so that a change costs the documents it touches and a fault stays in its own. */

export interface Chunk {
  readonly text: string;
  /** Line of its first character in the file, 1-based. */
  readonly line: number;
}

/**
 * A line that begins with `---` ends a document wherever it stands: YAML 1.2, 9.1.2 forbids it inside scalars too. Directives (`%YAML`) stay with
 * the document that follows them.
 */
export function splitChunks(text: string): Chunk[] {
  const chunks: Chunk[] = [];
  const marker = /^---(?=[ \t\r\n]|$)/gm;
  let start = 0;
  let line = 1;
  const push = (end: number) => {
    if (end <= start) return;
    const chunk = text.slice(start, end);
    if (isDirectives(chunk)) return;
    if (!isBlank(chunk)) chunks.push({ text: chunk, line });
    line += countLines(chunk);
    start = end;
  };
  for (let found = marker.exec(text); found !== null; found = marker.exec(text)) push(found.index);
  push(text.length);
  return chunks;
}

/** Directives and comments only. */
function isDirectives(chunk: string): boolean {
  let found = false;
  for (const line of linesOf(chunk)) {
    if (line.startsWith('%')) found = true;
    else if (!isEmpty(line)) return false;
  }
  return found;
}

/** Nothing but the marker, comments and white space. */
function isBlank(chunk: string): boolean {
  for (const line of linesOf(chunk)) {
    if (!isEmpty(line.startsWith('---') ? line.slice(3) : line)) return false;
  }
  return true;
}

function isEmpty(line: string): boolean {
  const content = line.trim();
  return content === '' || content.startsWith('#');
}

/** One line at a time: the first one mostly settles the question. */
function* linesOf(text: string): Generator<string> {
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    yield text.slice(start, end);
    start = end + 1;
  }
  yield text.slice(start);
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}
