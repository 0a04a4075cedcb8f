/**
 * The verdict, from outside: own SQL on the servers, what clients were told, what repctl announced. Nothing of the
 * product's code is asked.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type pg from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import type { World } from './act.js';
import { type Ledger, type Transaction, replay } from './ledger.js';
import { PARTITIONS, TABLES } from './stage.js';

interface EpochRow {
  epoch: number;
  leader: string;
  previous_leader: string | null;
  fork_point: string | null;
  operation: string;
}

export interface Verdict {
  readonly violations: readonly string[];
  /** Acknowledged and not there, announced or not. */
  readonly lost: number;
  /** Of those: an epoch's fork point lies before it; a stranded file has it; --accept-data-loss; never flushed. */
  readonly announced: number;
  readonly stranded: number;
  readonly discarded: number;
  readonly unflushed: number;
}

const NONE = { lost: 0, announced: 0, stranded: 0, discarded: 0, unflushed: 0 };

/** `healthy`: where it is not, nodes that are not attached differ and have other objects, which says nothing new. */
export async function judge(world: World, ledger: Ledger, healthy: boolean): Promise<Verdict> {
  const { nodes } = world.history;
  const leader = world.watcher.leader() ?? '';
  const clients = new Map<string, pg.Client>();
  try {
    for (const name of nodes) clients.set(name, await world.stage.superuserClient(name));
    const at = clients.get(leader);
    if (at === undefined) return { violations: [`no leader is known: ${leader}`], ...NONE };
    const { rows: epochs } = await at.query<EpochRow>(
      'select epoch, leader, previous_leader, fork_point::text, operation from repctl.epoch order by epoch',
    );
    const present = await journalOf(at);
    const losses = judgeLosses(world, ledger.transactions, present, epochs);
    const violations = [
      ...judgeJournal(present, ledger.transactions),
      ...(await judgeDoubled(clients, leader)),
      ...judgeWriters(ledger.transactions),
      ...judgeSequences(world, ledger.transactions, present, epochs),
      ...(await judgeItems(at, ledger.transactions, present)),
      ...(healthy ? await judgeReplicas(clients, leader) : []),
      ...(healthy ? await judgeObjects(clients, leader, epochs.at(-1)?.epoch ?? 0) : []),
    ];
    return { violations: [...violations, ...losses.violations], ...losses.figures };
  } finally {
    for (const client of clients.values()) await client.end().catch(() => undefined);
  }
}

const keyOf = ({ writer, seq }: { writer: number; seq: number }): string =>
  `${String(writer)}/${String(seq)}`;

const isLost = (one: Transaction, present: ReadonlyMap<string, number>): boolean =>
  one.outcome === 'acknowledged' && !present.has(keyOf(one));

/** How often each transaction is there. */
async function journalOf(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query<{ writer: number; seq: number; times: number }>(
    'select writer, seq, count(*)::int as times from journal group by writer, seq',
  );
  return new Map(rows.map((row) => [keyOf(row), row.times]));
}

const some = (list: readonly string[], most = 8): string =>
  `${list.slice(0, most).join(', ')}${list.length > most ? ` and ${String(list.length - most)} more` : ''}`;

function judgeJournal(present: ReadonlyMap<string, number>, transactions: readonly Transaction[]): string[] {
  const doubled = [...present]
    .filter(([, times]) => times > 1)
    .map(([key, times]) => `${key} ${String(times)} times`);
  const refused = transactions
    .filter((one) => one.outcome === 'refused' && present.has(keyOf(one)))
    .map(keyOf);
  const known = new Set(transactions.map(keyOf));
  const invented = [...present.keys()].filter((key) => !known.has(key));
  return [
    ...(doubled.length > 0 ? [`doubled: ${some(doubled)}`] : []),
    ...(refused.length > 0 ? [`refused but there: ${some(refused)}`] : []),
    ...(invented.length > 0 ? [`never written: ${some(invented)}`] : []),
  ];
}

/** However far a node has come, attached or not: no row is there twice. */
async function judgeDoubled(clients: ReadonlyMap<string, pg.Client>, leader: string): Promise<string[]> {
  const found: string[] = [];
  for (const [name, client] of clients) {
    if (name === leader) continue;
    const doubled = [...(await journalOf(client))].filter(([, times]) => times > 1).map(([key]) => key);
    if (doubled.length > 0) found.push(`doubled on ${name}: ${some(doubled)}`);
  }
  return found;
}

/** In one epoch one node acknowledges, and it is the one that the epoch names. */
function judgeWriters(transactions: readonly Transaction[]): string[] {
  const byEpoch = new Map<number, Set<string>>();
  const found = new Set<string>();
  for (const { outcome, epoch, node, leader } of transactions) {
    if (outcome !== 'acknowledged' || epoch === undefined || node === undefined) continue;
    const nodes = byEpoch.get(epoch) ?? new Set();
    byEpoch.set(epoch, nodes.add(node));
    if (nodes.size > 1)
      found.add(`split: in epoch ${String(epoch)} ${[...nodes].join(' and ')} acknowledged writes`);
    if (node !== leader)
      found.add(`split: ${node} acknowledged a write in epoch ${String(epoch)}, which ${leader ?? ''} leads`);
  }
  return [...found];
}

const number = (lsn: string): bigint => {
  const [high = '0', low = '0'] = lsn.split('/');
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
};

/** A commit that was answered without being flushed is lost when its server is killed soon after, by the clocks of a busy machine. */
const UNFLUSHED_MS = 2000;

/** Such a commit; its loss is the server's setting, and nobody can announce it. */
const unflushed = (world: World, { node = '', at = 0 }: Transaction): boolean =>
  world.history.synchronousCommit.get(node) === 'off' &&
  world.crashes.some((crash) => crash.node === node && crash.at >= at - 1000 && crash.at - at < UNFLUSHED_MS);

function judgeLosses(
  world: World,
  transactions: readonly Transaction[],
  present: ReadonlyMap<string, number>,
  epochs: readonly EpochRow[],
): { violations: string[]; figures: typeof NONE } {
  const lost = transactions.filter((one) => isLost(one, present));
  const silent: string[] = [];
  // Numbers may be left out: see nextEpoch().
  const after = (epoch: number): EpochRow | undefined =>
    epochs.filter((row) => row.epoch > epoch).toSorted((a, b) => a.epoch - b.epoch)[0];
  const broken = lost.filter(
    (one) => one.waits === true && world.promised.has(after(one.epoch ?? 0)?.epoch ?? 0),
  );
  const announced: Transaction[] = [];
  for (const one of lost) {
    const { node = '', epoch = 0, after: end } = one;
    if (unflushed(world, one)) continue;
    const next = after(epoch);
    const about = `${keyOf(one)} (${node}, epoch ${String(epoch)}, ${one.before ?? ''} to ${end ?? ''})`;
    if (next === undefined) silent.push(`${about}: no later epoch`);
    else if (next.operation === 'switchover')
      silent.push(`${about}: epoch ${String(next.epoch)} began by a switchover`);
    else if (next.previous_leader !== node)
      silent.push(`${about}: epoch ${String(next.epoch)} followed ${String(next.previous_leader)}`);
    else if (next.fork_point !== null && end !== undefined && number(next.fork_point) >= number(end))
      silent.push(`${about}: before fork point ${next.fork_point}`);
    else announced.push(one);
  }
  const saved = strandedIn(world.home);
  const stranded = announced.filter(saved);
  const discarded = announced.filter((one) => !saved(one) && world.discarded.has(one.node ?? ''));
  const unsaved = announced.filter((one) => !stranded.includes(one) && !discarded.includes(one)).map(keyOf);
  return {
    violations: [
      ...(broken.length > 0
        ? [`lost although failover said that it cannot be: ${some(broken.map(whereOf))}`]
        : []),
      ...(silent.length > 0 ? [`lost without being announced: ${some(silent)}`] : []),
      ...(unsaved.length > 0 ? [`announced as lost but in no stranded file: ${some(unsaved)}`] : []),
    ],
    figures: {
      lost: lost.length,
      announced: announced.length,
      stranded: stranded.length,
      discarded: discarded.length,
      unflushed: lost.filter((one) => unflushed(world, one)).length,
    },
  };
}

/** Whether a stranded file below `home` has the transaction's row of the journal. */
function strandedIn(home: string): (one: Transaction) => boolean {
  const files = existsSync(home)
    ? readdirSync(home, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && /^stranded-.*\.jsonl$/u.test(entry.name))
        .map((entry) => path.join(entry.parentPath, entry.name))
    : [];
  const rows = new Set<string>();
  for (const line of files.flatMap((file) => readFileSync(file, 'utf8').split('\n'))) {
    const writer = /"writer":\s*"?(\d+)/u.exec(line)?.[1];
    const seq = /"seq":\s*"?(\d+)/u.exec(line)?.[1];
    if (writer !== undefined && seq !== undefined) rows.add(`${writer}/${seq}`);
  }
  return (one) => rows.has(keyOf(one));
}

/** Sequences that a column of `journal` owns; the other two are free, and their values are in no index. */
const OWNED = new Set(['id', 'number']);

/** What a failover leaves out of a free sequence, from where the leader of a promotion began; a few less, for those that the ledger does not know. */
const GAP = 900n;

/**
 * No value twice among those that anybody was given. After a failover two are let pass, since nobody can know them:
 * values of transactions that were lost with the old leader, and those of free sequences that the first leader gave
 * out, or a later one more of them than the gap.
 */
function judgeSequences(
  world: World,
  transactions: readonly Transaction[],
  present: ReadonlyMap<string, number>,
  epochs: readonly EpochRow[],
): string[] {
  const seen = new Map<string, Transaction>();
  const twice: string[] = [];
  const crashed = (one: Transaction, other: Transaction): boolean => {
    const [from = 0, to = 0] = [one.epoch ?? 0, other.epoch ?? 0].sort((a, b) => a - b);
    return epochs.some((row) => row.epoch > from && row.epoch <= to && row.operation !== 'switchover');
  };
  for (const one of transactions)
    for (const [sequence, value] of Object.entries(one.handedOut ?? {})) {
      const key = `${sequence} ${value}`;
      const earlier = seen.get(key);
      if (earlier === undefined) seen.set(key, one);
      else {
        const both = [earlier, one];
        // What was not flushed is forgotten, what its sequences had handed out too.
        if (both.some((each) => isLost(each, present) && unflushed(world, each))) continue;
        const kept = both.every((each) => present.has(keyOf(each)));
        const known = OWNED.has(sequence) ? kept : withinGap(sequence, both, transactions);
        if (!crashed(earlier, one) || known) twice.push(`${key} to ${whereOf(earlier)} and ${whereOf(one)}`);
      }
    }
  return twice.length > 0 ? [`sequence: handed out twice: ${some(twice, 4)}`] : [];
}

/** Whether the value is among the first that a leader of epoch 2 or later gave out: its promotion recorded where it began. */
function withinGap(
  sequence: string,
  both: readonly Transaction[],
  transactions: readonly Transaction[],
): boolean {
  const [first] = both.toSorted((a, b) => (a.epoch ?? 0) - (b.epoch ?? 0));
  const { epoch = 0 } = first ?? {};
  if (epoch < 2) return false;
  const of = (one: Transaction): bigint => BigInt(one.handedOut?.[sequence] ?? 0);
  const size = (value: bigint): bigint => (value < 0n ? -value : value);
  const given = transactions.filter((one) => one.epoch === epoch && one.handedOut?.[sequence] !== undefined);
  const begin = given.map((one) => size(of(one))).reduce((least, one) => (one < least ? one : least));
  return first !== undefined && size(of(first)) - begin < GAP;
}

const whereOf = (one: Transaction): string =>
  `${keyOf(one)} on ${one.node ?? ''} in epoch ${String(one.epoch)}`;

/** The rows are exactly what the transactions that are there made of them. */
async function judgeItems(
  client: pg.Client,
  transactions: readonly Transaction[],
  present: ReadonlyMap<string, number>,
): Promise<string[]> {
  const wanted = replay(transactions.filter((one) => present.has(keyOf(one))));
  const { rows } = await client.query<{ k: string; row: string; whole: boolean }>(
    `select key::text as k, concat_ws(' ', owner, version, born, size) as row,
            payload is not distinct from repeat(md5(born::text), size / 32) as whole from items`,
  );
  const wrong: string[] = [];
  for (const { k, row, whole } of rows) {
    const item = wanted.get(Number(k));
    const text = item && [item.owner, item.version, item.born, item.size].join(' ');
    if (text !== row || !whole)
      wrong.push(`${k} is ${row}${whole ? '' : ' with a torn payload'}, not ${text ?? 'absent'}`);
    wanted.delete(Number(k));
  }
  for (const item of wanted.values()) wrong.push(`${String(item.key)} is missing`);
  return wrong.length > 0 ? [`wrong rows: ${some(wrong, 5)}`] : [];
}

const digestSql = (table: string): string =>
  `select count(*)::text || ' ' || coalesce(md5(string_agg(h, '' order by h)), '') as digest
     from (select md5(t::text) as h from ${table} t) as rows`;

/** All tables alike everywhere, once the stream has brought what was written last. */
async function judgeReplicas(clients: ReadonlyMap<string, pg.Client>, leader: string): Promise<string[]> {
  const tables = [...TABLES, 'repctl.epoch', 'repctl.event', 'repctl.request'];
  const deadline = Date.now() + 10_000;
  for (;;) {
    const digests = await Promise.all(
      [...clients].map(async ([name, client]) => {
        const all: string[] = [];
        for (const table of tables)
          all.push((await client.query<{ digest: string }>(digestSql(table))).rows[0]?.digest ?? '');
        return [name, all] as const;
      }),
    );
    const right = digests.find(([name]) => name === leader)?.[1] ?? [];
    const wrong = digests.flatMap(([name, all]) =>
      all.flatMap((digest, index) =>
        digest === right[index]
          ? []
          : [`${name} ${tables[index] ?? ''}: ${digest}, the leader ${leader}: ${right[index] ?? ''}`],
      ),
    );
    if (wrong.length === 0) return [];
    if (Date.now() > deadline) return [`replicas differ: ${wrong.join('; ')}`];
    await delay(50);
  }
}

const OBJECTS_SQL = `
select (select coalesce(json_agg(subname || case when subenabled then '' else ' disabled' end order by subname), '[]') from pg_subscription) as subscriptions,
       (select coalesce(json_agg(slot_name order by slot_name), '[]') from pg_replication_slots) as slots,
       (select count(*)::int from pg_replication_origin) as origins,
       (select coalesce(json_agg(pubname), '[]') from pg_publication) as publications,
       (select count(*)::int from pg_trigger where tgname = 'repctl_fence' and not tgisinternal and tgenabled not in ('D', 'R')) as closed,
       (select count(*)::int from pg_trigger where not tgisinternal) as triggers,
       (select count(*)::int from pg_prepared_xacts) as prepared,
       (select count(*)::int from pg_locks where locktype = 'advisory') as advisory,
       (select coalesce(json_agg(sibling order by sibling), '[]') from repctl.standby) as standby`;

interface Objects {
  subscriptions: string[];
  slots: string[];
  origins: number;
  publications: string[];
  closed: number;
  triggers: number;
  prepared: number;
  advisory: number;
  standby: string[];
}

/** What each node must have, and nothing else: no tombstone, no slot of an old copy, no origin without subscription. */
async function judgeObjects(
  clients: ReadonlyMap<string, pg.Client>,
  leader: string,
  epoch: number,
): Promise<string[]> {
  const found: string[] = [];
  for (const [name, client] of clients) {
    const objects = (await client.query<Objects>(OBJECTS_SQL)).rows[0]!;
    const leads = name === leader;
    // Of the tables and of the three that repctl publishes with them.
    const fences = TABLES.length + PARTITIONS + 3;
    const others = [...clients.keys()].filter((other) => other !== name).sort();
    const wanted: Partial<Objects> = {
      subscriptions: leads ? [] : [`repctl_${name}_e${String(epoch)}`],
      slots: others.map((other) => `repctl_${other}`),
      origins: leads ? 0 : 1,
      publications: ['repctl'],
      triggers: fences,
      closed: leads ? 0 : fences,
      prepared: 0,
      advisory: 0,
    };
    for (const [kind, value] of Object.entries(wanted)) {
      const is = JSON.stringify(objects[kind as keyof Objects]);
      if (is !== JSON.stringify(value)) found.push(`${name} has ${kind} ${is}, not ${JSON.stringify(value)}`);
    }
  }
  return found.length > 0 ? [`left over: ${found.join('; ')}`] : [];
}
