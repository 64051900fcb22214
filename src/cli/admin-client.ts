/** Reads the debug API of a running control plane. */
import { Option } from 'commander';
import { CliError, exitCodes } from './exit.ts';
import { type HostPort, parseHostPort } from './proxy/sockets.ts';
import { parsed } from './options.ts';

/** A dump of a large proxy is tens of megabytes; anything beyond is not the debug API. */
const maxAnswerBytes = 512 * 1024 * 1024;
const timeoutMs = 30_000;

export const defaultMonitoringAddress = '127.0.0.1:15014';

export function addressOption(): Option {
  return new Option('--address <host:port>', "the control plane's monitoring port")
    .argParser(parsed(parseHostPort))
    .default(parseHostPort(defaultMonitoringAddress), defaultMonitoringAddress);
}

/** The JSON at `path`. A CliError says what to do when nothing answers there or the answer is a refusal. */
export async function getJson(address: HostPort, path: string): Promise<unknown> {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  const url = `http://${host}:${address.port}${path}`;
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { signal, headers: { accept: 'application/json' } }).catch((cause: unknown) => {
    throw new CliError(
      exitCodes.unreachable,
      `${url} does not answer (${reason(cause)}); is \`mizzen discovery\` running, and is --address its monitoring port?`,
      { cause },
    );
  });
  const text = await bodyOf(response);
  if (!response.ok) {
    throw new CliError(
      response.status === 404 ? exitCodes.usage : exitCodes.unreachable,
      `${url} answered ${response.status}: ${errorIn(text)}`,
    );
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new CliError(exitCodes.unreachable, `${url} did not answer with JSON; is --address the monitoring port?`, { cause });
  }
}

async function bodyOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new CliError(exitCodes.unreachable, `${response.url} answers more than ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The control plane's errors are `{"error": "..."}`. */
function errorIn(text: string): string {
  try {
    const value = JSON.parse(text) as { error?: unknown };
    if (typeof value.error === 'string') return value.error;
  } catch {
    // Not JSON: the text itself is all there is to show.
  }
  return text.slice(0, 300);
}

function reason(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? ((inner as NodeJS.ErrnoException).code ?? inner.message) : String(inner);
}
