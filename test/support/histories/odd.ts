/** Histories that are written, not drawn: nothing to move, nothing that counts, everything on the border. */
import type { Event, History, Who } from './generate.js';

const run = (command: string, who?: Who, ...flags: string[]): Event => ({
  do: 'run',
  command,
  flags,
  again: false,
  ...(who === undefined ? {} : { who }),
});
const sql = (text: string, who: Who = 'leader'): Event => ({ do: 'sql', who, text });
const first: Who = { replica: 0 };
const second: Who = { replica: 1 };
/** On the first replica, past the fence, so that the next transaction of the leader meets what is there already. */
const byHand = (text: string): Event => ({
  do: 'sql',
  who: first,
  text: `set session_replication_role = replica; ${text}`,
  superuser: true,
});
/** A transaction that the first replica cannot apply and skips. */
const SKIPPED: readonly Event[] = [
  byHand('insert into marks values (9, 9)'),
  // It changes nothing in the end, so whoever skipped it is as equal as whoever did not.
  sql('begin; insert into marks values (9, 9); delete from marks where client = 9; commit'),
  { do: 'skip', who: first },
  byHand('delete from marks where client = 9'),
];
const FAILOVER = run('failover', undefined, '--accept-data-loss', '--accept-minority');

/** Transactions that leave no trace in a stream: none of a published table, none that commits, none with a row. */
const TRACELESS = [
  'create table if not exists aside (n int)',
  'insert into aside select generate_series(1, 100)',
  'begin; select txid_current(); commit',
  'begin; insert into marks values (7, 7); rollback',
  'update items set version = version + 1 where key = -1',
  'vacuum aside',
].map((text) => sql(text));

const scripted = (nodes: readonly string[], writers: number, events: readonly Event[]): History => ({
  seed: 0,
  nodes,
  synchronousCommit: new Map(),
  writers,
  pauseMs: 15,
  inside: false,
  events,
});

export const ODD: Readonly<Record<string, History>> = {
  'no write at all, from change to change': scripted(['n1', 'n2', 'n3'], 0, [
    run('switchover', first),
    run('switchover', second),
    { do: 'crash', who: 'leader' },
    FAILOVER,
    { do: 'start' },
  ]),
  'only transactions that leave no trace': scripted(['n4', 'n1', 'n3'], 0, [
    ...TRACELESS,
    run('switchover', first),
    ...TRACELESS,
    { do: 'disable', who: second },
    ...TRACELESS,
    { do: 'crash', who: 'leader' },
    FAILOVER,
    ...TRACELESS,
    { do: 'start' },
  ]),
  'one transaction exactly on the fork point, which one replica has and the other lacks': scripted(
    ['n1', 'n2', 'n5'],
    0,
    [
      sql('insert into marks values (1, 1)'),
      { do: 'wait', ms: 150 },
      { do: 'disable', who: second },
      { do: 'wait', ms: 50 },
      sql('insert into marks values (1, 2)'),
      { do: 'wait', ms: 250 },
      { do: 'crash', who: 'leader' },
      FAILOVER,
      sql('insert into marks values (1, 3)'),
      { do: 'start' },
    ],
  ),
  'a skipped transaction exactly on the fork point, which the other replica has never seen': scripted(
    ['n1', 'n2', 'n3'],
    0,
    [
      sql('insert into marks values (1, 1)'),
      { do: 'wait', ms: 150 },
      { do: 'disable', who: second },
      { do: 'wait', ms: 50 },
      ...SKIPPED,
      { do: 'crash', who: 'leader' },
      FAILOVER,
      sql('insert into marks values (1, 3)'),
      { do: 'start' },
    ],
  ),
  'one replica that has everything, one that has nothing since its copy': scripted(['n3', 'n5', 'n1'], 2, [
    { do: 'disable', who: second },
    { do: 'wait', ms: 400 },
    { do: 'crash', who: 'leader' },
    FAILOVER,
    { do: 'start' },
  ]),
};

/** For test/long alone: CI has the like of them elsewhere, and half a minute each to spare. */
export const ODD_LONG: Readonly<Record<string, History>> = {
  'a skipped transaction, and a planned change right after it': scripted(['n2', 'n1', 'n5'], 2, [
    ...SKIPPED,
    run('switchover', first),
    { do: 'wait', ms: 150 },
    { do: 'crash', who: 'leader' },
    FAILOVER,
    { do: 'start' },
  ]),
  'ten switchovers round all nodes and home again, with writers': scripted(
    ['n1', 'n2', 'n3', 'n4'],
    2,
    ['n2', 'n3', 'n4', 'n1', 'n3', 'n2', 'n4', 'n3', 'n2', 'n1'].map((node) => run(`switchover ${node}`)),
  ),
};
