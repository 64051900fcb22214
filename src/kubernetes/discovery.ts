/** Which kinds an API server serves, and in which version. */
import type { Clock } from './clock.ts';
import { ApiRefusal, isRecord } from './list.ts';
import { statusMessage, type Transport } from './transport.ts';

export interface WantedKind {
  /** Empty for the core group. */
  readonly group: string;
  readonly plural: string;
  /** Best first. */
  readonly versions: readonly string[];
}

export interface DiscoveryOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** So long an answer is good for all who ask. Default 2 s. */
  readonly freshMs?: number;
}

interface Answer {
  readonly at: number;
  readonly value: Promise<unknown>;
}

export class Discovery {
  private readonly options: DiscoveryOptions;
  private readonly answers = new Map<string, Answer>();

  constructor(options: DiscoveryOptions) {
    this.options = options;
  }

  /** The first of the versions that is served; undefined for none. Rejects where the server does not answer that question. */
  async servedVersion(kind: WantedKind): Promise<string | undefined> {
    if (kind.group === '') return kind.versions[0];
    const group = await this.ask(`/apis/${kind.group}`);
    const served = namesIn(group, 'versions', 'version');
    for (const version of kind.versions) {
      if (!served.includes(version)) continue;
      const resources = await this.ask(`/apis/${kind.group}/${version}`);
      if (namesIn(resources, 'resources', 'name').includes(kind.plural)) return version;
    }
    return undefined;
  }

  /** The answer's body; undefined for 404. Many kinds ask for one group at once. */
  private ask(path: string): Promise<unknown> {
    const { clock, freshMs = 2_000 } = this.options;
    const known = this.answers.get(path);
    if (known !== undefined && clock.now() - known.at < freshMs) return known.value;
    const value = this.fetch(path);
    this.answers.set(path, { at: clock.now(), value });
    value.catch(() => this.answers.delete(path));
    return value;
  }

  private async fetch(path: string): Promise<unknown> {
    // Not of one caller: another may wait for the same answer. The transport has its own time limit.
    const answer = await this.options.transport.request({ method: 'GET', path }, new AbortController().signal);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new ApiRefusal(answer.status, statusMessage(answer));
    return answer.body;
  }
}

function namesIn(body: unknown, list: string, field: string): string[] {
  const entries = isRecord(body) ? body[list] : undefined;
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry: unknown) => (isRecord(entry) && typeof entry[field] === 'string' ? [entry[field]] : []));
}
