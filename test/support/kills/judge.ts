/** What must be true at the end of a run, asked with SQL of its own. */
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { type EpochRow, satisfies } from '../../../src/routing/token.js';
import { until } from '../wait.js';
import { type Ledger, type Write, deletedBy } from './ledger.js';
import type { Rig } from './rig.js';

const DIGESTS = ['kills_row', 'kills_counter', 'repctl.epoch', 'repctl.event']
  .map(
    (table) =>
      `select '${table}' as name, count(*) || '/' || coalesce(sum(hashtextextended(t::text, 7)), 0) as digest from ${table} t`,
  )
  .join(' union all ');

/** Every node holds the same rows; the tables that differ when they do not within ten seconds. */
async function unequal(rig: Rig): Promise<string[]> {
  const look = async () => {
    const digests = await Promise.all(
      rig.names.map(async (name) => {
        const rows = await rig.direct.rows<{ name: string; digest: string }>(name, DIGESTS);
        return rows?.map((row) => `${row.name} ${row.digest}`).join(', ') ?? 'no answer';
      }),
    );
    return new Set(digests).size === 1
      ? []
      : digests.map((digest, index) => `${rig.names[index]!}: ${digest}`);
  };
  try {
    await until(look, (found) => found.length === 0, 10_000);
    return [];
  } catch {
    return (await look()).map((line) => `replicas differ: ${line}`);
  }
}

const OBJECTS = `
select (select count(*) from pg_subscription where subname like 'repctl%')::int as subscriptions,
       (select count(*) from pg_replication_origin)::int as origins,
       (select count(*) from pg_replication_slots where slot_name like 'repctl%' and not temporary)::int as slots,
       (select count(*) from pg_replication_slots where slot_name not like 'repctl%' or temporary)::int as "otherSlots",
       (select count(*) from pg_replication_slots where slot_name like 'repctl%' and active)::int as active,
       (select count(*) from pg_publication)::int as publications,
       (select count(*) from pg_trigger where tgname = 'repctl_fence' and tgenabled in ('O', 'A'))::int as fences,
       (select count(*) from pg_trigger where not tgisinternal)::int as triggers,
       (select count(*) from pg_locks where locktype = 'advisory')::int as locks,
       (select count(*) from pg_prepared_xacts)::int as prepared`;

/** kills_row, kills_counter and its two partitions; epoch, event and request of repctl. */
const FENCES = 7;

/** Nothing too much and nothing missing on any node. */
async function objects(rig: Rig, leader: string): Promise<string[]> {
  const others = rig.names.length - 1;
  const look = async () => {
    const found = await Promise.all(
      rig.names.map(async (name) => {
        const leads = name === leader;
        const wanted = {
          subscriptions: leads ? 0 : 1,
          origins: leads ? 0 : 1,
          slots: others,
          otherSlots: 0,
          active: leads ? others : 0,
          publications: 1,
          fences: leads ? 0 : FENCES,
          triggers: FENCES,
          locks: 0,
          prepared: 0,
        };
        const [row] = await rig.direct.need<Record<string, number>>(name, OBJECTS);
        return Object.entries(wanted)
          .filter(([kind, count]) => row?.[kind] !== count)
          .map(([kind, count]) => `${name}: ${String(row?.[kind])} ${kind}, not ${String(count)}`);
      }),
    );
    return found.flat();
  };
  return until(look, (found) => found.length === 0, 4000).catch(look);
}

const rowKey = (client: number | string, n: number | string): string => `${String(client)}/${String(n)}`;

/** The numbers of the rows of these clients that a node holds, doubles included. */
export async function rowsOn(rig: Rig, node: string, clients: readonly number[]): Promise<string[]> {
  const rows = await rig.direct.need<{ client: string; n: string }>(
    node,
    `select client, n from kills_row where client in (${clients.join(', ')})`,
  );
  return rows.map((row) => rowKey(row.client, row.n));
}

/** Every (client, n) in files that rejoin saved. */
async function strandedRows(home: string): Promise<Set<string>> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { client, n } = value as { client?: string | number; n?: string | number };
    if (client !== undefined && n !== undefined) found.add(rowKey(client, n));
    for (const inner of Object.values(value)) visit(inner);
  };
  for (const name of await readdir(home, { recursive: true })) {
    if (!/stranded.*\.jsonl$/.test(name)) continue;
    for (const line of (await readFile(path.join(home, name), 'utf8')).split('\n'))
      if (line !== '') visit(JSON.parse(line));
  }
  return found;
}

export interface Case {
  readonly ledger: Ledger;
  readonly clients: readonly number[];
  /** What former leaders had on disk before anything was done to them. */
  readonly disk: ReadonlySet<string>;
  /** Nodes that `rejoin` brought back: what they had and nobody else must be in a file. */
  readonly rejoined: ReadonlySet<string>;
  /** Nodes that were emptied with --accept-data-loss: what they took until then is known to be thrown away. */
  readonly discarded: ReadonlySet<string>;
  /** Whether the leader was gone at some time, so that a loss may be announced at all. */
  readonly mayLose: boolean;
}

export interface Verdict {
  readonly violations: readonly string[];
  readonly acknowledged: number;
  readonly lost: number;
}

export async function judge(rig: Rig, about: Case): Promise<Verdict> {
  const violations: string[] = [...about.ledger.alarms.slice(0, 3)];
  const leader = await rig.leader();
  violations.push(...(await unequal(rig)));
  violations.push(...(await objects(rig, leader)));
  violations.push(...rig.watcher.overlaps(!aboutPlanned(about)));

  const here = await rowsOn(rig, leader, about.clients);
  const kept = new Set(here);
  if (kept.size !== here.length) {
    const doubled = here.filter((key, index) => here.indexOf(key) !== index);
    violations.push(`rows twice: ${doubled.slice(0, 5).join(' ')} (${String(doubled.length)})`);
  }
  const idle = new Set(
    about.ledger.acknowledged.filter((it) => it.foundNone).map((it) => rowKey(it.client, it.n)),
  );
  const present = ({ client, n }: { client: number; n: number }): boolean => {
    const remover = deletedBy(n);
    if (kept.has(rowKey(client, n))) return true;
    return remover !== undefined && kept.has(rowKey(client, remover)) && !idle.has(rowKey(client, remover));
  };
  for (const client of about.clients)
    for (let n = 7; kept.has(rowKey(client, n + 5)); n += 7)
      if (kept.has(rowKey(client, n)))
        violations.push(`half a transaction: row ${rowKey(client, n)} was deleted by ${String(n + 5)}`);
  const counters = await rig.direct.need<{ client: string; n: string; top: string }>(
    leader,
    `select c.client, c.n, (select max(n) from kills_row r where r.client = c.client) as top from kills_counter c where client in (${about.clients.join(', ')})`,
  );
  for (const row of counters)
    if (row.n !== row.top) violations.push(`client ${row.client}: counter ${row.n}, last row ${row.top}`);

  violations.push(...oneWriterAnEpoch(about.ledger.acknowledged));
  const missing = about.ledger.acknowledged.filter((write) => !present(write));
  violations.push(...(await losses(rig, leader, about, missing, present)));
  return { violations, acknowledged: about.ledger.acknowledged.length, lost: missing.length };
}

/** Without a failover no two nodes may be open at once, whatever their epochs. */
const aboutPlanned = (about: Case): boolean => !about.mayLose;

function oneWriterAnEpoch(writes: readonly Write[]): string[] {
  const nodes = new Map<number, Set<string>>();
  for (const { mark, node } of writes)
    nodes.set(mark.epoch, (nodes.get(mark.epoch) ?? new Set<string>()).add(node));
  return [...nodes]
    .filter(([, names]) => names.size > 1)
    .map(
      ([epoch, names]) => `writes of epoch ${String(epoch)} were acknowledged by ${[...names].join(' and ')}`,
    );
}

async function losses(
  rig: Rig,
  leader: string,
  about: Case,
  missing: readonly Write[],
  present: (write: Write) => boolean,
): Promise<string[]> {
  const violations: string[] = [];
  const epochs = await rig.direct.need<{
    epoch: string;
    leader: string;
    previous: string | null;
    fork: string | null;
  }>(
    leader,
    `select epoch, leader, previous_leader as previous, fork_point::text as fork from repctl.epoch order by epoch desc`,
  );
  const rows = epochs.map((row): EpochRow => ({
    epoch: Number(row.epoch),
    leader: row.leader,
    previousLeader: row.previous,
    forkPoint: row.fork,
  }));
  const view = {
    name: leader,
    identity: leader,
    born: null,
    epochs: rows,
    requests: false,
    feed: 'none',
    position: null,
  } as const;
  const wrong = (what: string, writes: readonly Write[]): void => {
    if (writes.length > 0)
      violations.push(
        `${what}: ${writes
          .slice(0, 4)
          .map(
            (it) =>
              `${rowKey(it.client, it.n)} (${it.node}, epoch ${String(it.mark.epoch)}, ${it.mark.before} to ${it.mark.after})`,
          )
          .join(', ')} (${String(writes.length)}); epochs ${rows
          .slice(0, 4)
          .map((it) => `${String(it.epoch)} ${it.leader} from ${it.forkPoint ?? '-'}`)
          .join(', ')}`,
      );
  };
  if (!about.mayLose) wrong('acknowledged and gone although no leader was lost', missing);
  const verdicts = new Map(about.ledger.acknowledged.map((write) => [write, satisfies(write.mark, view)]));
  wrong(
    'acknowledged and gone without being announced',
    missing.filter((it) => !['lost', 'uncertain'].includes(verdicts.get(it) ?? '')),
  );
  wrong(
    'a token says lost of what is there',
    about.ledger.acknowledged.filter((it) => present(it) && verdicts.get(it) === 'lost'),
  );
  wrong(
    'a token says neither yes nor lost',
    about.ledger.acknowledged.filter((it) => verdicts.get(it) === 'behind'),
  );
  const onDisk = ({ client, n }: Write): boolean => {
    const remover = deletedBy(n);
    return (
      about.disk.has(rowKey(client, n)) || (remover !== undefined && about.disk.has(rowKey(client, remover)))
    );
  };
  wrong(
    'acknowledged, and no former leader had it on disk',
    missing.filter((it) => !about.discarded.has(it.node) && !onDisk(it)),
  );
  if (about.rejoined.size > 0) {
    const saved = await strandedRows(rig.terminal.home);
    wrong(
      'stranded, but in no file of rejoin',
      missing.filter((it) => about.rejoined.has(it.node) && !saved.has(rowKey(it.client, it.n))),
    );
  }
  return violations;
}
