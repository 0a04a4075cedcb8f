/** Where bytes come from: a file, or stdin when the name is `-`. */
import { createReadStream, statSync } from 'node:fs';
import { RepctlError, messageOf } from '../errors.js';

/**
 * A stream of the file's bytes. Throws RepctlError (exit 2): `file-unreadable`; `usage` when stdin is a terminal,
 * where nobody would know that something is waited for.
 */
export function openInput(name: string, stdin: NodeJS.ReadStream = process.stdin): AsyncIterable<Uint8Array> {
  if (name === '-') {
    if (stdin.isTTY)
      throw new RepctlError('usage', 'Nothing is piped into stdin.', {
        hint: 'Name a file, or pipe one in.',
      });
    return stdin as AsyncIterable<Uint8Array>;
  }
  try {
    if (statSync(name).isDirectory()) throw new Error('it is a directory');
  } catch (error) {
    throw new RepctlError('file-unreadable', `${name}: ${messageOf(error)}`);
  }
  return readable(name);
}

async function* readable(name: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(name, { highWaterMark: 256 * 1024 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === undefined
      ? error
      : new RepctlError('file-unreadable', `${name}: ${messageOf(error)}`);
  }
}
