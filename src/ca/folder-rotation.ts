/** Rotation in a state folder: requests come in a file, and how far it is stands in another. */
import { join } from 'node:path';
import { readStateFile, replaceStateFile } from '../identity/privatefile.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { RotationDriver, type DriverOptions } from './driver.ts';
import { parseRequest } from './request.ts';

export interface FolderRotationOptions extends Omit<DriverOptions, 'request' | 'onStatus'> {
  readonly stateDir: string;
  readonly onReplicasChange: (listener: () => void) => () => void;
}

/** Whoever may write to the folder may start and abort rotations. */
export function requestFile(stateDir: string): string {
  return join(stateDir, 'ca', 'request.json');
}

export function statusFile(stateDir: string): string {
  return join(stateDir, 'ca', 'status.json');
}

/** The request's file is looked at as often. */
const lookMs = 500;

/** Until the signal. */
export async function runFolderRotation(options: FolderRotationOptions, signal: AbortSignal): Promise<void> {
  const { stateDir, clock, onReplicasChange, onFault } = options;
  let text: string | undefined;
  const driver = new RotationDriver({
    ...options,
    request: () => (text === undefined ? undefined : parseRequest(text)),
    onStatus: async (status) => replaceStateFile(statusFile(stateDir), `${JSON.stringify(status, null, 2)}\n`, 'public'),
  });
  const end = onReplicasChange(() => driver.wake());
  const stopLooking = every(clock, lookMs, () => {
    try {
      const found = readStateFile(requestFile(stateDir), 'secret');
      if (found === text) return;
      text = found;
      driver.wake();
    } catch (error) {
      onFault(error);
    }
  });
  try {
    await driver.run(signal);
  } finally {
    stopLooking();
    end();
  }
}

function every(clock: Clock, ms: number, look: () => void): () => void {
  let cancel = (): void => {};
  const again = (): void => {
    look();
    cancel = clock.after(ms, again);
  };
  again();
  return () => cancel();
}
