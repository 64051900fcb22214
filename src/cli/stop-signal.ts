/** How long a second signal is taken for an echo of the first: npm passes on what the terminal has already sent to all. */
const echoMs = 1000;

/** Aborted by the first SIGTERM or SIGINT. A later one, of a user who has lost patience, ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let stoppedAt: number | undefined;
  for (const [name, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    process.on(name, () => {
      if (stoppedAt !== undefined && performance.now() - stoppedAt > echoMs) process.exit(code);
      stoppedAt ??= performance.now();
      controller.abort();
    });
  }
  return controller.signal;
}
