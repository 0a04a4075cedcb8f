/**
 * Sessions kept between requests, for programs that go on: as SQLAlchemy's QueuePool keeps connections, and with the
 * same words. `size` are kept, up to `overflow` more are opened under load and closed when given back, whoever finds
 * none waits for `timeoutMs`; with `prePing` a session is asked for a sign of life before it is handed out, and
 * replaced when it gives none. Without, a dead one is handed out, and its user gets the error.
 */
import { EXIT, RepctlError } from '../errors.js';

export interface PoolOptions {
  readonly size: number;
  readonly overflow: number;
  readonly timeoutMs: number;
  readonly prePing: boolean;
}

/** What the seed's application asks for. */
export const POOL: PoolOptions = { size: 5, overflow: 10, timeoutMs: 30_000, prePing: true };

export interface Resource {
  /** False once it is known to be lost. */
  readonly alive: boolean;
  close(): Promise<void>;
}

export interface Pool<R extends Resource> {
  /** Throws RepctlError `pool-timeout` (exit 3) and what `open` throws. */
  take(): Promise<R>;
  /** Whoever took it is done with it; `broken`: it failed meanwhile and must not be kept. */
  give(resource: R, broken?: boolean): void;
  close(): Promise<void>;
}

/** `ping` rejects, in good time, when the resource does not answer. */
export function openPool<R extends Resource>(
  name: string,
  options: PoolOptions,
  open: () => Promise<R>,
  ping: (resource: R) => Promise<unknown>,
): Pool<R> {
  const idle: R[] = [];
  const waiting: (() => void)[] = [];
  const state = { out: 0, closed: false };

  const discard = (resource: R): void => {
    void resource.close().catch(() => undefined);
  };
  const wake = (): void => {
    waiting.shift()?.();
  };
  /** A place among size + overflow, without which nothing may be opened or handed out. */
  const place = async (): Promise<void> => {
    if (state.out < options.size + options.overflow) {
      state.out += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(turn), 1);
        reject(
          new RepctlError(
            'pool-timeout',
            `${name}: all ${String(options.size + options.overflow)} connections of the pool were in use for ${String(options.timeoutMs / 1000)} s.`,
            { exit: EXIT.unreachable, details: { node: name } },
          ),
        );
      }, options.timeoutMs);
      waiting.push(turn);
    });
  };
  const leave = (): void => {
    // Whoever waits takes this very place.
    if (waiting.length > 0) wake();
    else state.out -= 1;
  };
  const fit = async (resource: R): Promise<boolean> => {
    if (!options.prePing) return true;
    if (!resource.alive) return false;
    return ping(resource).then(
      () => true,
      () => false,
    );
  };
  return {
    async take() {
      await place();
      try {
        for (let resource = idle.pop(); resource !== undefined; resource = idle.pop()) {
          if (await fit(resource)) return resource;
          discard(resource);
          // As SQLAlchemy does: where one has died the others are as old, and are replaced, too.
          for (const other of idle.splice(0)) discard(other);
        }
        return await open();
      } catch (error) {
        leave();
        throw error;
      }
    },
    give(resource, broken = false) {
      if (broken || state.closed || idle.length >= options.size) discard(resource);
      else idle.push(resource);
      leave();
    },
    async close() {
      state.closed = true;
      await Promise.allSettled(idle.splice(0).map((resource) => resource.close()));
    },
  };
}
