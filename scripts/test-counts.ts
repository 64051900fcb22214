/** `node scripts/test-counts.ts FILE...`: sums what test runs left in their `$TEST_SUMMARY` files; the last line is `N passed, N failed`. */
import { readFileSync } from 'node:fs';
import type { TestCounts } from './test-report.ts';

let passed = 0;
let failed = 0;
const skipped: string[] = [];
for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, 'utf8');
  if (text === '') {
    console.log('a test run ended before it could count its tests');
    failed++;
    continue;
  }
  const counts = JSON.parse(text) as TestCounts;
  passed += counts.passed;
  failed += counts.failed;
  skipped.push(...counts.skipped);
}
console.log(`\n${skipped.length} skipped${skipped.length === 0 ? '' : ':'}`);
for (const name of skipped) console.log(`  ${name}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
