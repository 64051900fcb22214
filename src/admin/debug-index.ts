export interface IndexedPage {
  readonly path: string;
  readonly what: string;
}

/** The page at `/debug` that lists the others. */
export function debugIndex(pages: readonly IndexedPage[]): string {
  const rows = pages.map(({ path, what }) => `<tr><td><a href="${escape(path)}">${escape(path)}</a></td><td>${escape(what)}</td></tr>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>mizzen debug</title>
<style>body{font:15px/1.6 system-ui,sans-serif;margin:2rem}td{padding:.2rem 1.5rem .2rem 0;vertical-align:top}</style>
<h1>mizzen debug</h1>
<table>
${rows.join('\n')}
</table>
</html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
