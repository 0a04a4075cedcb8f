/** Clients that change hot rows in every way there is, at whichever node takes writes. */
import type pg from 'pg';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { type Random, randomOf } from '../histories/random.js';
import { connect } from '../histories/stage.js';
import { within } from '../histories/watcher.js';

export const TABLES_SQL = `
  create table hot (id bigint primary key, n bigint not null default 0, note text);
  create table named (name text collate "C" primary key, n bigint not null default 0);
  create table loose (a int, note text);
  alter table loose replica identity full`;

const ROWS = 8_000;
/** Of so many rows each client picks: they meet all the time. */
const HOT = 400;

export const FILL_SQL = `
  insert into hot select g, 0, 'note ' || g from generate_series(1, ${String(ROWS)}) g;
  insert into named select 'name ' || g, 0 from generate_series(1, ${String(ROWS / 2)}) g;
  insert into loose select g % 100, 'x' from generate_series(1, 300) g;
  analyze`;

export interface Load {
  /** Rows changed and acknowledged so far. */
  writes(): number;
  stop(): Promise<void>;
}

export function startLoad(config: ClusterConfig, seed: number, clients = 3): Load {
  const state = { on: true, writes: 0 };
  const all = Array.from({ length: clients }, (_, index) =>
    client(config, randomOf(seed * 31 + index), state),
  );
  return {
    writes: () => state.writes,
    async stop() {
      state.on = false;
      await Promise.all(all);
    },
  };
}

async function client(
  config: ClusterConfig,
  random: Random,
  state: { on: boolean; writes: number },
): Promise<void> {
  let at = 0;
  let session: pg.Client | undefined;
  while (state.on) {
    try {
      session ??= await begin(config.nodes[at]?.url ?? '');
      const results = (await within(
        session.query(transaction(random)),
        5_000,
      )) as unknown as pg.QueryResult[];
      state.writes += results.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
    } catch (error) {
      if (session !== undefined && IN_THE_WAY.has((error as { code?: string }).code ?? '')) {
        await session.query('rollback').catch(() => undefined);
        continue;
      }
      // Fenced or gone: the next node, or the same one later.
      session?.end().catch(() => undefined);
      session = undefined;
      at = (at + 1) % config.nodes.length;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  await session?.end().catch(() => undefined);
}

/** Two clients in each other's way: 55P03 lock_not_available, 40P01 deadlock_detected, 23505 unique_violation. */
const IN_THE_WAY = new Set(['55P03', '40P01', '23505']);

/** Who waits for each other is found out after a second by the server; here the time is better used. */
async function begin(url: string): Promise<pg.Client> {
  const session = await connect(url, 1_000);
  await session.query(`set lock_timeout = '20ms'`);
  return session;
}

/** A transaction of about ten row changes: values, keys, rows that go and rows that come. */
function transaction(random: Random): string {
  const id = () => String(random.int(1, HOT) * random.int(1, ROWS / HOT));
  const free = () => String(random.int(1, ROWS * 2));
  const statements = Array.from({ length: 6 }, () => {
    switch (random.weighted({ value: 5, insert: 2, remove: 2, key: 2, named: 2, rename: 1, loose: 1 })) {
      case 'value':
        return `update hot set n = n + 1, note = 'note ' || n where id in (${id()}, ${id()}, ${id()})`;
      case 'insert':
        return `insert into hot select ${free()}, 1, null on conflict do nothing`;
      case 'remove':
        return `delete from hot where id = ${free()}`;
      case 'key':
        return `with free as (select ${free()}::bigint as id)
                update hot set id = free.id from free where hot.id = ${id()}
                   and not exists (select 1 from hot h where h.id = free.id)`;
      case 'named':
        return `update named set n = n + 1 where name in ('name ${id()}', 'name ${id()}')`;
      case 'rename':
        return `update named set name = 'name ${free()}' where name = 'name ${id()}'
                   and not exists (select 1 from named where name = 'name ${free()}')`;
      default:
        return random.chance(0.5)
          ? `insert into loose values (${String(random.int(0, 99))}, null)`
          : `delete from loose where ctid = (select ctid from loose where a = ${String(random.int(0, 99))} limit 1)`;
    }
  });
  return `begin; ${statements.join('; ')}; commit`;
}
