/** Streams to and from COPY: what fails comes out as for any statement. */
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { RepctlError } from '../errors.js';
import type { Session } from './session.js';
import { sqlStateOf, translateError } from './sqlstate.js';

/**
 * pipeline() for streams of which one is a COPY on `session`. The server's errors and a lost connection come out
 * as RepctlError; what the other streams throw (a full disk, a closed pipe) passes as it is.
 */
export async function copyPipeline(
  session: Session,
  streams: readonly (NodeJS.ReadableStream | NodeJS.WritableStream | NodeJS.ReadWriteStream)[],
  options: { end?: boolean } = {},
): Promise<void> {
  try {
    await pipeline(streams, options);
  } catch (error) {
    if (error instanceof RepctlError) throw error;
    if (sqlStateOf(error) !== undefined || !session.alive)
      throw translateError(error, { node: session.node, phase: 'query' });
    throw error;
  }
}

/**
 * For a COPY whose reader is gone: the server would have to send all the rest before it heard anything else, so
 * the connection is cut.
 */
export function abandon(session: Session): void {
  (session.client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
}
