/**
 * Whatever a test makes outside of its own process (children, namespaces, folders) is registered here the moment it exists, and
 * removed when the process ends in any way that lets it run code: normally, by an exception, by SIGINT or SIGTERM.
 */
type Remove = () => void;

const owned = new Set<Remove>();
let hooked = false;

function removeAll(): void {
  // Newest first: children before the namespaces that they run in.
  for (const remove of [...owned].reverse()) {
    try {
      remove();
    } catch (fault) {
      console.error(`could not clean up: ${(fault as Error).message}`);
    }
  }
  owned.clear();
}

/** Registers a synchronous removal; the returned function takes it back once the thing is gone. */
export function own(remove: Remove): () => void {
  if (!hooked) {
    hooked = true;
    process.on('exit', removeAll);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        removeAll();
        // Not process.exit, which the test runner replaces: the test would go on and make more.
        process.removeAllListeners(signal);
        process.kill(process.pid, signal);
      });
    }
  }
  owned.add(remove);
  return () => owned.delete(remove);
}
