import { join } from 'node:path';

/** Where keys are kept: `$MIZZEN_STATE`, else `$XDG_STATE_HOME/mizzen`, else `~/.local/state/mizzen`. */
export function defaultStateFolder(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const { MIZZEN_STATE: own, XDG_STATE_HOME: xdg } = env;
  if (own) return own;
  return join(xdg || join(home, '.local', 'state'), 'mizzen');
}
