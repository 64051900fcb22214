/** `npm run check:dependencies`: fails when a file of src/ breaks the folder table, the pure core or makes a cycle. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { violations } from './dependency-rules.ts';

const src = join(import.meta.dirname, '..', 'src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((f) => f.endsWith('.ts'))
  .sort()
  .map((f) => ({ path: f.replaceAll('\\', '/'), code: readFileSync(join(src, f), 'utf8') }));
const found = violations(files);
for (const line of found) console.error(line);
console.log(`dependency rules: ${files.length} files, ${found.length} violations`);
process.exitCode = found.length === 0 ? 0 : 1;
