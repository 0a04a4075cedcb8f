/** The clients: what they do and what they are told. */
import type { ClusterConfig } from '../../config/schema.js';
import { RepctlError, messageOf } from '../../errors.js';
import { qualified } from '../../postgres/quote.js';
import { isConnectionLoss } from '../../postgres/sqlstate.js';
import { changeProduct } from '../../products/service.js';
import type { PooledFleets } from '../../routing/pooled-fleet.js';
import { read } from '../../routing/read.js';
import type { ReadLevel } from '../../routing/route.js';
import type { RoutingStore } from '../../routing/store.js';
import type { Mark } from '../../routing/token.js';
import { type Routing, type WriteTarget, write } from '../../routing/write.js';
import type { Lsn } from '../../postgres/lsn.js';
import type { ReadLine, WriteKind, WriteLine } from '../history.js';
import { type SeenRow, adjustedSku, pairSkus, rowSku, seenSql } from './rows.js';

/** As the commands of `product` have them. */
const READ_PATIENCE_MS = 1000;
const WRITE_PATIENCE_MS = 5000;

export interface ClientWorld {
  readonly config: ClusterConfig;
  readonly table: { readonly schema: string; readonly name: string };
  readonly fleets: PooledFleets;
  readonly store: RoutingStore;
  readonly now: () => number;
  readonly random: () => number;
}

interface Answered {
  readonly node: string;
  readonly token: Mark;
}

const routing = (
  world: ClientWorld,
  fleet: Routing['fleet'],
  session: string,
  patienceMs: number,
  note: Routing['note'] = () => undefined,
): Routing => ({ fleet, store: world.store, session, patienceMs, patient: false, note });

/** What became of a write: told by the code. A connection lost under way leaves it open. */
export function outcomeOf(error: unknown): { outcome: 'refused' | 'unknown'; code: string } {
  const code = error instanceof RepctlError ? error.code : messageOf(error);
  const open = code === 'write-unknown' || (code !== 'node-unreachable' && isConnectionLoss(error));
  return { outcome: open ? 'unknown' : 'refused', code };
}

/** One write through the routing, as `repctl product` sends it. */
export async function sendWrite(
  world: ClientWorld,
  client: string,
  op: WriteKind,
  n: number,
  due: number,
): Promise<WriteLine> {
  const begin = world.now();
  const about = { kind: 'write' as const, client, op, n, due };
  try {
    const { node, token } = await world.fleets.lease((fleet): Promise<Answered> => {
      const route = routing(world, fleet, client, WRITE_PATIENCE_MS);
      return op === 'transfer' ? transfer(world, route) : product(world, route, client, op, n);
    });
    const lsn = [token.before, token.after] as const;
    return { ...about, begin, end: world.now(), outcome: 'ok', node, epoch: token.epoch, lsn };
  } catch (error) {
    return { ...about, begin, end: world.now(), ...outcomeOf(error) };
  }
}

function product(
  world: ClientWorld,
  route: Routing,
  client: string,
  op: 'insert' | 'adjust',
  n: number,
): Promise<Answered> {
  const adjusted = adjustedSku(Math.floor(world.random() * 1000));
  return changeProduct(route, crypto.randomUUID(), () =>
    op === 'insert'
      ? {
          action: 'create',
          key: rowSku(client, n),
          values: new Map([
            ['sku', rowSku(client, n)],
            ['name', `Row ${String(n)} of ${client}`],
            ['price', '1'],
          ]),
        }
      : { action: 'adjust', key: adjusted, delta: 1 },
  );
}

/** Two statements in one transaction, so that it can be cut in the middle. Both ways in the same order: no deadlock. */
async function transfer({ table, random }: ClientWorld, route: Routing): Promise<Answered> {
  const [a, b] = pairSkus(Math.floor(random() * 1000));
  const amount = random() < 0.5 ? 1 : -1;
  const move = `update ${qualified(table)} set stock = stock + $2, version = version + 1 where sku = $1`;
  return write(route, async ({ session }: WriteTarget) => {
    const [row] = await session.query<{ lsn: Lsn }>('select pg_current_wal_insert_lsn()::text as lsn');
    await session.transaction(async () => {
      await session.query(move, [a, -amount]);
      await session.query(move, [b, amount]);
    });
    return { value: undefined, before: row?.lsn ?? '0/0' };
  });
}

/** One read of a session at a level: one snapshot of what is there of all clients. */
export async function sendRead(
  world: ClientWorld,
  client: string,
  session: string,
  level: ReadLevel,
  writers: readonly string[],
  due: number,
): Promise<ReadLine> {
  const begin = world.now();
  const about = { kind: 'read' as const, client, session, level, due };
  const heard: string[] = [];
  try {
    const { value, served } = await world.fleets.lease((fleet) =>
      read(
        routing(world, fleet, session, READ_PATIENCE_MS, (text) => {
          heard.push(text);
        }),
        { level },
        async (one) => (await one.query<SeenRow>(seenSql(world.table), [writers]))[0],
      ),
    );
    return {
      ...about,
      begin,
      end: world.now(),
      outcome: 'ok',
      node: served.node,
      role: served.role,
      seen: value?.seen ?? {},
      total: Number(value?.total ?? 0),
      ...(heard.some((text) => text.startsWith('! what this session')) ? { told: true } : {}),
    };
  } catch (error) {
    return { ...about, begin, end: world.now(), outcome: 'refused', code: outcomeOf(error).code };
  }
}
