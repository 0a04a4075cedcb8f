/** Clients that write: each goes to whoever takes its writes, and notes what it was told. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Change, type Ledger, type Transaction, changeSql, firstKey } from './ledger.js';
import type { Random } from './random.js';
import { connect } from './stage.js';

export interface WriterOptions {
  /** URL by node, as this client reaches it. */
  readonly urls: ReadonlyMap<string, string>;
  readonly ledger: Ledger;
  readonly random: Random;
  /** Up to this many milliseconds between two transactions. */
  readonly pauseMs: number;
}

export interface Writer {
  /** The next transaction is one of so many megabytes; resolves when it is answered, or known not to be. */
  big(megabytes: number): Promise<void>;
  /** From now on a few transactions a second. */
  slow(): void;
  stop(): Promise<void>;
}

/** Small transactions are answered in milliseconds; a lock of a switchover may hold them for a while. */
const ANSWER_MS = 2000;
const BIG_ANSWER_MS = 20_000;
const SLOW_PAUSE_MS = 120;

export function startWriter(options: WriterOptions): Writer {
  const state: State = { stopping: false, pauseMs: options.pauseMs };
  const done = writing(options, state);
  return {
    big: (megabytes) =>
      new Promise((resolve) => {
        state.big?.answered();
        state.big = { megabytes, answered: resolve };
      }),
    slow() {
      state.pauseMs = Math.max(state.pauseMs, SLOW_PAUSE_MS);
    },
    async stop() {
      state.stopping = true;
      await done;
    },
  };
}

interface State {
  stopping: boolean;
  pauseMs: number;
  /** The big transaction that is asked for. */
  big?: { readonly megabytes: number; readonly answered: () => void };
}

/** What a writer believes its rows to be; where it is wrong its changes meet no row, here and when replayed. */
interface Hand {
  writer: number;
  seq: number;
  next: number;
  keys: number[];
  bulks: { from: number; count: number }[];
}

async function writing({ urls, ledger, random }: WriterOptions, state: State): Promise<void> {
  const nodes = [...urls.keys()];
  let at = random.int(0, nodes.length - 1);
  let client: pg.Client | undefined;
  const fresh = (): Hand => {
    const writer = ledger.newWriter();
    return { writer, seq: 0, next: firstKey(writer), keys: [], bulks: [] };
  };
  let hand = fresh();
  const leave = (): void => {
    // Not end(): that waits for a server that may never answer.
    void client?.end().catch(() => undefined);
    (
      client as unknown as { connection?: { stream?: { destroy(): void } } } | undefined
    )?.connection?.stream?.destroy();
    client = undefined;
  };
  while (!state.stopping) {
    client ??= await connect(urls.get(nodes[at] ?? '') ?? '', 1000).catch(() => undefined);
    if (client === undefined) {
      at = (at + 1) % nodes.length;
      await delay(15);
      continue;
    }
    const { big } = state;
    delete state.big;
    const transaction: Transaction = {
      writer: hand.writer,
      seq: (hand.seq += 1),
      changes: big ? bigChanges(hand, big.megabytes) : someChanges(hand, random),
      outcome: 'unknown',
    };
    ledger.transactions.push(transaction);
    const refusal = await attempt(client, transaction, big ? BIG_ANSWER_MS : ANSWER_MS);
    transaction.at = Date.now();
    big?.answered();
    if (transaction.outcome === 'unknown') {
      // It may still happen, and later than what this client does next: from here on it is somebody else.
      hand = fresh();
      leave();
    } else if (transaction.outcome === 'refused') {
      const named = nodes.indexOf(/the leader is (\w+)/.exec(refusal)?.[1] ?? '');
      leave();
      at = named >= 0 && named !== at ? named : (at + 1) % nodes.length;
      await delay(5);
    }
    await delay(random.next() * state.pauseMs);
  }
  state.big?.answered();
  leave();
}

/** Does the transaction in one round trip; what the server said when it refused. */
async function attempt(client: pg.Client, transaction: Transaction, patienceMs: number): Promise<string> {
  const { writer, seq, changes } = transaction;
  const text = [
    'begin',
    `insert into journal (writer, seq, ticket, down) values (${String(writer)}, ${String(seq)}, nextval('ticket_seq'), nextval('down_seq')) returning id, number, ticket, down`,
    ...changes.map((change) => changeSql(change, writer)),
    `select e.epoch, e.leader, (select name from repctl.node) as node, pg_current_wal_insert_lsn()::text as before,
            current_setting('synchronous_standby_names') <> '' and current_setting('synchronous_commit') = 'on' as waits
       from repctl.epoch e order by e.epoch desc limit 1`,
    'commit',
    'select pg_current_wal_insert_lsn()::text as after',
  ].join('; ');
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(resolve, patienceMs, 'timeout');
  });
  try {
    const query = client.query(text) as unknown as Promise<pg.QueryResult<Record<string, unknown>>[]>;
    query.catch(() => undefined);
    const results = await Promise.race([query, timeout]);
    if (results === 'timeout') return '';
    const row = (index: number): Record<string, unknown> => results.at(index)?.rows[0] ?? {};
    Object.assign(transaction, row(-3), { after: row(-1)['after'], handedOut: row(1) });
    transaction.outcome = 'acknowledged';
    return '';
  } catch (error) {
    // FATAL (the server shuts down) may come after the commit; ERROR is the statement's own and undoes everything.
    if (!(error instanceof pg.DatabaseError) || error.severity !== 'ERROR') return '';
    transaction.outcome = 'refused';
    return error.message;
  } finally {
    clearTimeout(timer);
  }
}

function someChanges(hand: Hand, random: Random): Change[] {
  const changes: Change[] = [];
  const count = random.chance(0.2) ? 0 : random.int(1, 4);
  const newKey = (): number => (hand.next += 1);
  for (let i = 0; i < count; i += 1) {
    const index = random.int(0, Math.max(0, hand.keys.length - 1));
    const key = hand.keys[index];
    const kind =
      key === undefined
        ? 'insert'
        : random.weighted({ insert: 30, update: 35, touch: 5, move: 12, delete: 12, bulk: 3, clear: 3 });
    if (kind === 'insert') {
      const added = newKey();
      hand.keys.push(added);
      // Some rows are longer than a page lets them be: they are kept out of line, and stay there when updated.
      changes.push({ kind, key: added, size: random.chance(0.1) ? 9600 : 64 });
    } else if (kind === 'bulk') {
      const from = newKey();
      const rows = random.int(50, 300);
      hand.next += rows;
      hand.bulks.push({ from, count: rows });
      changes.push({ kind, from, count: rows, size: 1024 });
    } else if (kind === 'clear') {
      const bulk = hand.bulks.pop();
      if (bulk) changes.push({ kind, ...bulk });
    } else if (kind === 'touch' || key === undefined) changes.push({ kind: 'touch' });
    else if (kind === 'move') {
      const to = newKey();
      hand.keys[index] = to;
      changes.push({ kind, key, to });
    } else {
      if (kind === 'delete') hand.keys.splice(index, 1);
      changes.push({ kind, key });
    }
  }
  return changes;
}

function bigChanges(hand: Hand, megabytes: number): Change[] {
  const count = megabytes * 128;
  const from = hand.next + 1;
  hand.next += count;
  hand.bulks.push({ from, count });
  return [{ kind: 'bulk', from, count, size: 8192 }];
}
