/** A trickle of requests through the gateway, and what came of the last of them. */
import { get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { readText, type Answer } from './shop.ts';

export interface Outcome {
  /** 0: no answer. */
  readonly status: number;
  /** Of the reviews service that answered; empty on an error. */
  readonly version: string;
  /** Each hop of the request came over mutual TLS. */
  readonly mutualTls: boolean;
  readonly latencyMs: number;
  /** What went wrong; empty when nothing did. */
  readonly error: string;
}

export interface TrafficSummary {
  readonly sent: number;
  readonly failed: number;
  /** Of the last requests. */
  readonly recent: readonly Outcome[];
  /** Of the recent ones, by version of reviews. */
  readonly versions: Readonly<Record<string, number>>;
  readonly lastError: string;
}

const recentCount = 100;
const timeoutMs = 10_000;

export class Traffic {
  readonly #recent: Outcome[] = [];
  #sent = 0;
  #failed = 0;
  #lastError = '';

  summary(): TrafficSummary {
    const versions: Record<string, number> = {};
    for (const { version } of this.#recent) if (version !== '') versions[version] = (versions[version] ?? 0) + 1;
    return { sent: this.#sent, failed: this.#failed, recent: [...this.#recent], versions, lastError: this.#lastError };
  }

  add(outcome: Outcome): void {
    this.#sent++;
    if (outcome.error !== '') {
      this.#failed++;
      this.#lastError = outcome.error;
    }
    this.#recent.push(outcome);
    if (this.#recent.length > recentCount) this.#recent.shift();
  }

  /** One request after another, `perSecond` of them, until the signal. */
  async run(url: string, perSecond: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const pause = delay(1000 / perSecond, undefined, { signal }).catch(() => {
        // Stopped: the loop ends by itself.
      });
      const outcome = await request(url);
      if (!signal.aborted) this.add(outcome);
      await pause;
    }
  }
}

/** Each on a connection of its own, so that no connection hides a listener that does not accept. */
export async function request(url: string): Promise<Outcome> {
  const start = performance.now();
  const failed = (status: number, error: string): Outcome => ({
    status,
    version: '',
    mutualTls: false,
    latencyMs: performance.now() - start,
    error: error.trim().slice(0, 200),
  });
  try {
    const outgoing = get(url, { agent: false, timeout: timeoutMs });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const text = await readText(response);
    if (response.statusCode !== 200) return failed(response.statusCode ?? 0, `${String(response.statusCode)}: ${text}`);
    const page = JSON.parse(text) as Answer;
    const hops = answersIn(page);
    return {
      status: 200,
      version: hops.find((a) => a.service === 'reviews')?.version ?? '',
      mutualTls: hops.every((a) => a.caller !== ''),
      latencyMs: performance.now() - start,
      error: '',
    };
  } catch (cause) {
    return failed(0, (cause as Error).message);
  }
}

/** The answer and all that it was made from. */
function answersIn(answer: Answer): Answer[] {
  const inner = Object.values(answer.body).filter((v): v is Answer => typeof v === 'object' && v !== null && 'service' in v);
  return [answer, ...inner.flatMap(answersIn)];
}
