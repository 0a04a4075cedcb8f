/** The pool of the seed's application: 5 kept, 10 more under load, 30 s, pre-ping. */
import { describe, expect, it } from 'vitest';
import { type PoolOptions, openPool } from '../../../src/routing/pool.js';

interface Thing {
  readonly id: number;
  alive: boolean;
  closed: boolean;
  close(): Promise<void>;
}

function poolOf(over: Partial<PoolOptions> = {}) {
  const made: Thing[] = [];
  const open = (): Promise<Thing> => {
    const thing: Thing = {
      id: made.length + 1,
      alive: true,
      closed: false,
      close() {
        thing.closed = true;
        return Promise.resolve();
      },
    };
    made.push(thing);
    return Promise.resolve(thing);
  };
  const ping = (thing: Thing): Promise<void> =>
    thing.alive ? Promise.resolve() : Promise.reject(new Error('dead'));
  const pool = openPool('n1', { size: 2, overflow: 1, timeoutMs: 40, prePing: true, ...over }, open, ping);
  return { pool, made };
}

describe('a pool', () => {
  it('keeps what is given back, up to its size; the overflow is closed', async () => {
    const { pool, made } = poolOf();
    const taken = await Promise.all([pool.take(), pool.take(), pool.take()]);
    for (const thing of taken) pool.give(thing);
    expect(made.map((thing) => thing.closed)).toEqual([false, false, true]);
    await pool.take();
    expect(made).toHaveLength(3);
  });

  it('lets nobody have more than size and overflow: the next waits, in turn, and gives up in time', async () => {
    const { pool } = poolOf();
    const [first] = await Promise.all([pool.take(), pool.take(), pool.take()]);
    const waiting = pool.take();
    pool.give(first);
    expect(await waiting).toBe(first);
    await expect(pool.take()).rejects.toMatchObject({ code: 'pool-timeout', exit: 3 });
    // Who gave up left the queue: what is given back goes to the next who asks.
    pool.give(first);
    expect(await pool.take()).toBe(first);
  });

  it('with pre-ping never hands out a dead one; what was idle with it is as old, and goes too', async () => {
    const { pool, made } = poolOf();
    for (const thing of await Promise.all([pool.take(), pool.take()])) pool.give(thing);
    made[1]!.alive = false;
    expect((await pool.take()).id).toBe(3);
    expect(made.slice(0, 2).map((thing) => thing.closed)).toEqual([true, true]);
  });

  it('without pre-ping hands out a dead one', async () => {
    const { pool, made } = poolOf({ prePing: false });
    pool.give(await pool.take());
    made[0]!.alive = false;
    expect((await pool.take()).id).toBe(1);
  });

  it('does not keep what failed, and an opening that fails takes no place', async () => {
    const { pool, made } = poolOf();
    pool.give(await pool.take(), true);
    expect(made[0]!.closed).toBe(true);
    const failing = openPool(
      'n1',
      { size: 1, overflow: 0, timeoutMs: 10, prePing: true },
      () => Promise.reject(new Error('no')),
      () => Promise.resolve(),
    );
    await expect(failing.take()).rejects.toThrow('no');
    await expect(failing.take()).rejects.toThrow('no');
  });
});
