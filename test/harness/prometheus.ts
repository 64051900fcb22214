/** A real Prometheus of the test's own. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Child } from '../envoy/harness/child.ts';
import { Folder } from '../envoy/harness/folder.ts';
import { http } from '../envoy/harness/http.ts';
import { freePort } from '../envoy/harness/ports.ts';
import { eventually } from '../envoy/harness/wait.ts';
import { prometheusBinaries } from './prometheus-binaries.ts';

const run = promisify(execFile);

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Target {
  readonly health: 'up' | 'down' | 'unknown';
  readonly lastError: string;
  readonly scrapeUrl: string;
}

export class Prometheus implements AsyncDisposable {
  readonly #child: Child;
  readonly #folder: Folder;
  readonly #port: number;

  private constructor(child: Child, folder: Folder, port: number) {
    this.#child = child;
    this.#folder = folder;
    this.#port = port;
  }

  /** `config`: prometheus.yml; paths in it are relative to `files`, by name. Returns when it is ready. */
  static async start(config: string, files: Readonly<Record<string, string>> = {}): Promise<Prometheus> {
    const { prometheus: binary } = await prometheusBinaries();
    const folder = new Folder('prometheus');
    for (const [name, content] of Object.entries(files)) folder.write(name, content);
    const port = await freePort();
    const flags = ['--config.file', folder.write('prometheus.yml', config), '--storage.tsdb.path', folder.at('data')];
    const listen = ['--web.listen-address', `127.0.0.1:${port}`, '--log.level', 'warn'];
    const child = new Child({ command: [binary, ...flags, ...listen], log: folder.at('prometheus.log') });
    const prometheus = new Prometheus(child, folder, port);
    try {
      const ready = await eventually(
        'Prometheus is ready',
        async () => !child.running || (await http({ port, path: '/-/ready' })).status === 200,
        30_000,
      );
      if (!ready || !child.running) throw new Error(`it ended with code ${child.exitCode}`);
    } catch (cause) {
      const said = child.tail();
      await prometheus[Symbol.asyncDispose]();
      throw new Error(`Prometheus did not start: ${(cause as Error).message}\n${said}`, { cause });
    }
    return prometheus;
  }

  /** What it has said: warnings and errors alone. */
  log(): string {
    return this.#child.tail(Number.MAX_SAFE_INTEGER);
  }

  async #ask<T>(path: string): Promise<T> {
    const { body } = await http({ port: this.#port, path });
    const answer = JSON.parse(body) as { status: string; data?: T; error?: string };
    if (answer.data === undefined) throw new Error(`${path}: ${answer.error ?? body}`);
    return answer.data;
  }

  /** An instant vector; a scalar is one sample without labels. */
  async query(promql: string): Promise<Sample[]> {
    type Point = readonly [number, string];
    type Answer =
      { resultType: 'vector'; result: { metric: Record<string, string>; value: Point }[] } | { resultType: 'scalar'; result: Point };
    const answer = await this.#ask<Answer>(`/api/v1/query?query=${encodeURIComponent(promql)}`);
    if (answer.resultType === 'scalar') return [{ labels: {}, value: Number(answer.result[1]) }];
    return answer.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** Waits until the query has one sample for which `wanted` holds, and returns its value. */
  async eventually(promql: string, wanted: (value: number) => boolean, limitMs = 20_000): Promise<number> {
    let seen: Sample[] = [];
    try {
      return await eventually(
        promql,
        async () => {
          seen = await this.query(promql);
          const [first] = seen;
          return seen.length === 1 && first !== undefined && wanted(first.value) ? { value: first.value } : undefined;
        },
        limitMs,
      ).then(({ value }) => value);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}; last seen: ${JSON.stringify(seen)}`, { cause });
    }
  }

  async targets(): Promise<readonly Target[]> {
    return (await this.#ask<{ activeTargets: Target[] }>('/api/v1/targets?state=active')).activeTargets;
  }

  /** Type and help of every metric of the targets. */
  async metadata(): Promise<ReadonlyMap<string, { readonly type: string; readonly help: string }>> {
    const all = await this.#ask<Record<string, { type: string; help: string }[]>>('/api/v1/metadata');
    return new Map(Object.entries(all).flatMap(([name, [first]]) => (first === undefined ? [] : [[name, first] as const])));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
    this.#folder[Symbol.dispose]();
  }
}

export interface ToolResult {
  readonly code: number;
  readonly output: string;
}

/** Runs promtool; a status other than 0 is a result, too. */
export async function promtool(args: readonly string[], input = ''): Promise<ToolResult> {
  const { promtool: binary } = await prometheusBinaries();
  const child = run(binary, [...args], { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 });
  child.child.stdin?.end(input);
  try {
    const { stdout, stderr } = await child;
    return { code: 0, output: stdout + stderr };
  } catch (fault) {
    const { code, stdout = '', stderr = '' } = fault as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw fault;
    return { code, output: stdout + stderr };
  }
}
