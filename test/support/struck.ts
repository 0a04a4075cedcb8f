/**
 * `check`, `check --exact` and `repair` on a cluster that something strikes in the middle of them: one leader, two
 * replicas, 6,000 products, of which every third is wrong on n3 when there is something to repair.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { RunningCli } from './cli.js';
import { createCluster } from './cluster.js';
import { type Cli, makeCli } from './home-cli.js';
import { writeConfig } from './operator.js';
import { type Servers, startServers } from './servers.js';
import { until } from './wait.js';

export const NAMES = ['n1', 'n2', 'n3'];
const ROWS = 6000;
export const PLANTED = ROWS / 3;

/** The digest of a block, or the settings around it. */
const READING = /bit_xor|enable_indexscan/u;
const SLOWLY = ['--max-rate', '1500rows', '--block-rows', '300'];
export const OPERATIONS = {
  check: { args: ['check', ...SLOWLY], at: READING },
  'check --exact': { args: ['check', '--exact', ...SLOWLY], at: READING },
  repair: { args: ['repair', '--yes'], at: /products/u },
} as const;
export type Operation = keyof typeof OPERATIONS;

export interface Struck {
  readonly servers: Servers;
  readonly cli: Cli;
  admin<Row = Record<string, unknown>>(node: string, sql: string): Promise<Row[]>;
  /** Begins it with --json; it is in the middle of its work when this returns, and a repair is held up there. */
  begin(
    operation: Operation,
  ): Promise<{ readonly running: RunningCli; readonly release: () => Promise<void> }>;
  /** Every third row of n3 gets a price of its own, each time another one. */
  plant(): Promise<unknown>;
  /** n3's rows by id: which are the leader's, which are what was planted, which are neither. */
  standing(): Promise<{ readonly right: string[]; readonly planted: string[]; readonly neither: string[] }>;
  /** The ids in the files of overwritten rows: those that had the price that was planted last. */
  kept(): ReadonlySet<string>;
  down(): Promise<void>;
}

export async function startStruck(): Promise<Struck> {
  const servers = await startServers({ nodes: 3, proxy: true });
  const cli = makeCli();
  const admin = async <Row>(node: string, sql: string): Promise<Row[]> => {
    const session = await servers.superuser(node);
    try {
      return await session.simple<Row>(sql);
    } finally {
      await session.close();
    }
  };
  const fleet = servers.fleet();
  await createCluster(fleet);
  await (
    await fleet.session('n1')
  ).simple(
    `insert into products (sku, name, price) select 'SKU-' || g, 'Thing ' || g, g from generate_series(1, ${String(ROWS)}) g; analyze products`,
  );
  for (const name of ['n2', 'n3'])
    await until(
      () => admin<{ rows: string }>(name, 'select count(*) as rows from products'),
      ([row]) => row?.rows === String(ROWS),
    );
  writeConfig(cli, {
    cluster: servers.config.cluster,
    nodes: Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }])),
    connectTimeout: 2,
    statementTimeout: 8,
  });
  let planting = 10;
  const cents = () => `0.${String(planting)}`;
  return {
    servers,
    cli,
    admin,
    plant() {
      planting += 1;
      return admin(
        'n3',
        `set session_replication_role = replica; update products set price = id + ${cents()} where id % 3 = 0`,
      );
    },
    async begin(operation) {
      const { args, at } = OPERATIONS[operation];
      // A repair is met in the middle of its transaction: one of the rows that it writes is held until then.
      const held = operation === 'repair' ? await servers.superuser('n3') : undefined;
      await held?.simple('begin; select from products where id = 3000 for update');
      const running = cli.start([...args, '--json']);
      const watcher = await servers.superuser('n3');
      await running.seen(
        () =>
          watcher.query<{ query: string }>(
            // What a repair compares before is done by sessions of a check.
            operation === 'repair'
              ? `select query from pg_stat_activity where application_name = 'repctl repair' and wait_event_type = 'Lock' and backend_xid is not null`
              : `select query from pg_stat_activity where application_name = 'repctl check'`,
          ),
        (rows) => rows.some(({ query }) => at.test(query)),
      );
      await watcher.close();
      return { running, release: async () => held?.close() };
    },
    async standing() {
      const [leader = [], replica = []] = await Promise.all(
        ['n1', 'n3'].map((name) =>
          admin<{ id: string; price: string; row: string }>(
            name,
            `select id, price, md5(to_jsonb(p)::text) as row from products p order by id`,
          ),
        ),
      );
      const rows = new Map(leader.map((one) => [one.id, one.row]));
      const kindOf = (one: (typeof replica)[number]) =>
        rows.get(one.id) === one.row
          ? 'right'
          : one.price === `${one.id}${cents().slice(1)}`
            ? 'planted'
            : 'neither';
      const ids = (kind: string) => replica.filter((one) => kindOf(one) === kind).map(({ id }) => id);
      return { right: ids('right'), planted: ids('planted'), neither: ids('neither') };
    },
    kept() {
      const files = readdirSync(cli.home, { recursive: true, encoding: 'utf8' });
      const lines = files
        .filter((file) => /overwritten.*\.jsonl$/u.test(file))
        // Killed in the middle, its last line may be half of one.
        .flatMap((file) => readFileSync(path.join(cli.home, file), 'utf8').split('\n').slice(0, -1));
      const rows = lines.map((line) => (JSON.parse(line) as { row: { id: number; price: number } }).row);
      const isPlanted = (price: number) => price.toFixed(2).endsWith(cents().slice(1));
      return new Set(rows.filter(({ price }) => isPlanted(price)).map(({ id }) => String(id)));
    },
    async down() {
      await servers.down();
      cli.end();
    },
  };
}
