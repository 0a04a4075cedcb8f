/**
 * `check`, `check --exact` and `repair` on a cluster that something strikes in the middle of them: one leader, two
 * replicas, 6,000 products, of which every third is wrong on n3 when there is something to repair.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { CheckResult } from '../../src/consistency/result.js';
import { delayLinks, heal, isolate } from '../../src/sandbox/sandbox.js';
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

const LOCKED = `select l.mode from pg_locks l join pg_stat_activity a using (pid)
  where a.application_name = 'repctl check' and l.mode = 'ShareLock' and l.granted and l.relation = 'products'::regclass`;

export interface SilentWhileLocked {
  /** How long a writer on the leader waited from then on, and the whole check; milliseconds. */
  readonly writerMs: number;
  readonly tookMs: number;
  /** Of the check on the leader's table, once the writer had written. */
  readonly locks: readonly unknown[];
  readonly code: number | null;
  readonly said: Partial<CheckResult> & {
    readonly error?: { readonly code: string; readonly message: string };
  };
}

/** `check --exact`, and the link to a node falls silent while the leader's table is locked; healed in the end. */
export async function silentWhileLocked(
  { servers, cli }: Struck,
  silent: string,
): Promise<SilentWhileLocked> {
  // The lock is held until the change of a moment ago has arrived.
  await delayLinks(servers.sandbox, 300, 'n3');
  const running = cli.start([...OPERATIONS['check --exact'].args, '--json']);
  const watcher = await servers.superuser('n1');
  await running.seen(
    () => watcher.simple(LOCKED),
    (rows) => rows.length > 0,
  );
  running.child.kill('SIGSTOP');
  await isolate(servers.sandbox, silent, { clients: 'only' });
  running.child.kill('SIGCONT');
  const from = performance.now();
  await watcher.simple(`update products set name = 'Written ' || clock_timestamp() where id = 1`);
  const writerMs = performance.now() - from;
  const locks = await watcher.simple(LOCKED);
  const { code, stdout } = await running.ended;
  const tookMs = performance.now() - from;
  await watcher.close();
  await heal(servers.sandbox, silent);
  await delayLinks(servers.sandbox, 0);
  return { writerMs, tookMs, locks, code, said: JSON.parse(stdout) as SilentWhileLocked['said'] };
}
