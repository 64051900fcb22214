/** A process of simulated proxies: started by fleet.ts, does what it is told over the channel to its parent, and ends with it. */
import { ProxyGroup } from './group.ts';
import type { Answers, Call, Command, Reply } from './messages.ts';

const group = new ProxyGroup();

function run(command: Command): Answers[keyof Answers] | Promise<Answers[keyof Answers]> {
  switch (command.do) {
    case 'connect':
      return group.connect(command);
    case 'reconnect':
      return group.reconnect(command);
    case 'restart':
      return group.restart(command);
    case 'certify':
      return group.certify(command);
    case 'watch':
      return group.watch(command);
    case 'await':
      return group.await(command);
    case 'settle':
      return group.settle(command);
    case 'close':
      return group.close();
    default:
      return command satisfies never;
  }
}

process.on('message', ({ id, command }: Call) => {
  const reply = (answer: Omit<Reply, 'id'>): void => void process.send?.({ id, ...answer });
  // In a microtask, so that what is thrown at once is told as well.
  Promise.resolve()
    .then(() => run(command))
    .then(
      (result) => reply({ result }),
      (error: unknown) => reply({ error: error instanceof Error ? error.message : String(error) }),
    );
});
process.on('disconnect', () => process.exit(0));
