import { describe, expect, it } from 'vitest';
import { EXIT, RepctlError } from '../../../src/errors.js';
import { watched } from '../../../src/postgres/watchdog.js';

const fails = (code: string) => () => Promise.reject(new RepctlError(code, 'no', { exit: EXIT.unreachable }));

/** A statement that ends when told to. */
function statement() {
  let end: (how: 'answered' | 'given up') => void = () => undefined;
  const promise = new Promise<string>((resolve) => (end = resolve));
  return { promise, end };
}

describe('watched', () => {
  it('gives up when the server is not there any more', async () => {
    const { promise, end } = statement();
    await expect(
      watched(promise, 1, fails('node-unreachable'), () => {
        end('given up');
      }),
    ).resolves.toBe('given up');
  });

  it.each<[string, () => Promise<void>]>([
    ['lets another connection in', () => Promise.resolve()],
    ['refuses another connection', fails('too-many-connections')],
  ])('goes on waiting for a server that %s', async (_, answers) => {
    const { promise, end } = statement();
    let knocks = 0;
    const knock = () => {
      if (++knocks === 3) end('answered');
      return answers();
    };
    await expect(
      watched(promise, 1, knock, () => {
        end('given up');
      }),
    ).resolves.toBe('answered');
  });

  it('never knocks for a statement that is answered, and passes its failure on', async () => {
    const never = () => Promise.reject(new Error('knocked'));
    await expect(watched(Promise.resolve(1), 5, never, () => undefined)).resolves.toBe(1);
    await expect(watched(Promise.reject(new Error('sql')), 5, never, () => undefined)).rejects.toThrow('sql');
  });
});
