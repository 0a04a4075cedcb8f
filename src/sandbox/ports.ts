/** Ports on 127.0.0.1 that nobody uses. */
import { createServer } from 'node:net';
import { EXIT, RepctlError } from '../errors.js';

/** Below Linux's ephemeral range (32768 and up), from which an outgoing connection could take a port meanwhile. */
export const DEFAULT_BASE_PORT = 15_432;

/** Whether the port can be listened on now. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/** The first `count` free ports from `base` upwards. Throws RepctlError `no-port` (exit 6). */
export async function freePorts(base: number, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let port = base; found.length < count; port += 1) {
    if (port > 65_535)
      throw new RepctlError(
        'no-port',
        `There are not ${String(count)} free ports from ${String(base)} upwards.`,
        {
          exit: EXIT.refused,
          hint: 'Choose a lower --base-port.',
        },
      );
    if (await isFree(port)) found.push(port);
  }
  return found;
}
