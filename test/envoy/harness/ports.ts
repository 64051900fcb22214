import { freePorts } from '../../../src/cli/demo/free-ports.ts';

export { freePorts };

export async function freePort(address?: string): Promise<number> {
  const [port] = await freePorts(1, address);
  if (port === undefined) throw new Error('no free port');
  return port;
}
