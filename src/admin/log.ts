/** Logs by scope, as one JSON object a line on standard error; each scope's level can be changed while the daemon runs. */
import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What a scope logs about; a new scope gets its line here, so that `--log-level` can refuse a misspelt one. */
export const logScopes = {
  default: 'start, stop and everything without a scope of its own',
  ads: 'proxies that connect, are refused, accept and reject configuration',
  ca: 'certificates that are issued and roots that rotate',
  source: 'files and objects that are read',
  model: 'problems of objects',
  controllers: 'what is written to the cluster, and which replica leads',
  admin: 'requests to the debug API',
} as const;
export type LogScope = keyof typeof logScopes;

export type LogLevels = Partial<Record<LogScope, LogLevel>>;

export interface Log {
  scope(name: LogScope): Logger;
  levels(): Readonly<Record<LogScope, LogLevel>>;
  setLevel(scope: LogScope, level: LogLevel): void;
  /** Writes out what is buffered; call it before the process ends. */
  flush(): void;
}

/**
 * `info`, or `ads:debug,ca:warn`, or `warn,ads:debug`: a level without a scope is for all that are not named. Throws with what is allowed on a
 * scope or level that does not exist.
 */
export function parseLogLevels(text: string): LogLevels {
  const named: LogLevels = {};
  let all: LogLevel | undefined;
  for (const item of text.split(',').map((s) => s.trim())) {
    if (item === '') continue;
    const colon = item.indexOf(':');
    if (colon < 0) all = parseLevel(item);
    else named[parseScope(item.slice(0, colon))] = parseLevel(item.slice(colon + 1));
  }
  if (all === undefined) return named;
  return { ...Object.fromEntries(scopeNames().map((scope) => [scope, all])), ...named };
}

export function parseLevel(text: string): LogLevel {
  const level = logLevels.find((l) => l === text);
  if (level === undefined) throw new Error(`"${text}" is not a log level; the levels are ${logLevels.join(', ')}`);
  return level;
}

export function parseScope(text: string): LogScope {
  const scope = scopeNames().find((s) => s === text);
  if (scope === undefined) throw new Error(`"${text}" is not a log scope; the scopes are ${scopeNames().join(', ')}`);
  return scope;
}

export function scopeNames(): LogScope[] {
  return Object.keys(logScopes) as LogScope[];
}

/** `levels`: scopes that it does not name log at `info`. `to`: standard error unless a test says otherwise. */
export function createLog(levels: LogLevels = {}, to: DestinationStream = destination({ fd: 2, sync: true })): Log {
  const root = pino(
    { base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) }, level: 'trace' },
    to,
  );
  const loggers = Object.fromEntries(
    scopeNames().map((scope) => [scope, root.child({ scope }, { level: levels[scope] ?? 'info' })]),
  ) as Record<LogScope, Logger>;
  return {
    scope: (name) => loggers[name],
    levels: () => Object.fromEntries(scopeNames().map((s) => [s, loggers[s].level])) as Record<LogScope, LogLevel>,
    setLevel: (scope, level) => {
      loggers[scope].level = level;
    },
    flush: () => root.flush(),
  };
}
