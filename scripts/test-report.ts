/** Vitest reporter: names each skipped test with its reason, and keeps the counts for `.ci/run` in the file `$TEST_SUMMARY`. */
import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

export interface TestCounts {
  readonly passed: number;
  /** Failed tests, and files or hooks that failed before a test could run. */
  readonly failed: number;
  /** `file > suite > test: reason`. */
  readonly skipped: readonly string[];
}

export function countTests(modules: readonly TestModule[], unhandled: number): TestCounts {
  let passed = 0;
  let failed = unhandled;
  const skipped: string[] = [];
  for (const module of modules) {
    failed += module.errors().length;
    for (const suite of module.children.allSuites()) failed += suite.errors().length;
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === 'passed') passed++;
      else if (result.state === 'skipped')
        skipped.push(`${module.relativeModuleId} > ${test.fullName}${result.note === undefined ? '' : `: ${result.note}`}`);
      else failed++;
    }
  }
  return { passed, failed, skipped };
}

export default class TestReport implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const counts = countTests(modules, unhandled.length);
    for (const name of counts.skipped) console.log(`skipped: ${name}`);
    const file = process.env['TEST_SUMMARY'];
    if (file !== undefined && file !== '') writeFileSync(file, JSON.stringify(counts));
  }
}
