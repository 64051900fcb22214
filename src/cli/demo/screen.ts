import type { WriteStream } from 'node:tty';
import type { DemoState } from './state.ts';
import { allInSync, mutualTlsText, versionsText } from './state.ts';
import { viewLines } from './view.ts';

/** Where the demo tells what it sees. */
export interface Screen {
  /** Something that happens once, such as a step of the start. */
  say(line: string): void;
  show(state: DemoState): void;
  close(): void;
}

/** Draws the state over itself, on the terminal's second screen, so that what was there before comes back at the end. */
export function terminalScreen(out: WriteStream): Screen {
  let open = false;
  const enter = (): void => {
    if (open) return;
    open = true;
    out.write('\u001b[?1049h\u001b[?25l');
  };
  return {
    say: (line) => {
      if (!open) out.write(`${line}\n`);
    },
    show: (state) => {
      enter();
      const lines = viewLines(state, out.columns).slice(0, out.rows - 1);
      // Home, each line with the rest of the old one erased, then everything below.
      out.write(`\u001b[H${lines.map((l) => `${l}\u001b[K\n`).join('')}\u001b[J`);
    },
    close: () => {
      if (open) out.write('\u001b[?25h\u001b[?1049l');
      open = false;
    },
  };
}

const summaryEverySeconds = 10;

/** Plain lines for pipes and logs: what changes, and a summary every 10 seconds. */
export function plainScreen(write: (text: string) => void): Screen {
  const line = (text: string): void => write(`${text}\n`);
  const connected = new Set<string>();
  const problems = new Set<string>();
  let inSync = false;
  let lastSummary = 0;
  return {
    say: line,
    show: (state) => {
      const now = new Set(state.proxies.map((p) => p.proxy));
      for (const name of now) if (!connected.has(name)) line(`connected: ${name}`);
      for (const name of connected) if (!now.has(name)) line(`gone: ${name}`);
      connected.clear();
      for (const name of now) connected.add(name);
      for (const p of state.problems) {
        const text = `${p.severity}: ${p.object}${p.path === '' ? '' : ` ${p.path}`}: ${p.message}`;
        if (!problems.has(text)) line(text);
        problems.add(text);
      }
      const synced = allInSync(state);
      if (synced !== inSync) line(synced ? `in sync: all ${state.expected.length} proxies` : 'in sync: not all proxies');
      inSync = synced;
      if (state.uptimeSeconds - lastSummary < summaryEverySeconds) return;
      lastSummary = state.uptimeSeconds;
      const { traffic } = state;
      line(
        `requests: ${traffic.sent} sent, ${traffic.failed} failed${traffic.lastError === '' ? '' : ` (the last: ${traffic.lastError})`}; last ${traffic.recent.length} answered by ${versionsText(traffic)}; mutual TLS: ${mutualTlsText(traffic)}`,
      );
    },
    close: () => {},
  };
}
