/** Faults to plant into the program (test/long/sabotage.long.test.ts): the judge must catch each of them. */
import type { Round } from './generate.js';
import type { Fault } from './program.js';

export interface Sabotage extends Fault {
  /** What brings it to light soonest. */
  readonly rounds: readonly Round[];
  /** How a violation begins that this fault may cause; others do not count. */
  readonly signs: RegExp;
}

/** A transaction that comes twice, or not at all. That an apply worker fails or nothing heals is not enough: rows must be wrong. */
const WRONG_PLACE = /^(?:doubled|replicas differ|wrong rows|lost)/u;

export const FAULTS: readonly Sabotage[] = [
  {
    name: 'mapping-behind',
    what: 'mapping off by one: the last transaction that a sibling has is sent again',
    rounds: ['crash', 'late'],
    signs: WRONG_PLACE,
    edits: [
      {
        file: 'src/replication/mapping.ts',
        find: 'if (lsnToNumber(current.lsn) <= limit) {',
        replace: 'if (lsnToNumber(current.lsn) < limit) {',
      },
    ],
  },
  {
    name: 'mapping-ahead',
    what: 'mapping off by one: the first transaction that a sibling lacks is left out',
    rounds: ['crash', 'late'],
    signs: WRONG_PLACE,
    edits: [
      {
        file: 'src/replication/mapping.ts',
        find: '} else missing += 1;',
        replace: '} else if ((missing += 1) === 1) { mapped = message.lsn; mappedOrigin = current.lsn; }',
      },
    ],
  },
  {
    name: 'swap-by-connection',
    what: 'the swap by ALTER SUBSCRIPTION CONNECTION: the new leader is asked for the old leader’s position',
    rounds: ['crash', 'late'],
    signs: WRONG_PLACE,
    edits: [
      {
        file: 'src/replication/subscriptions.ts',
        find: '): readonly string[] => [...old.flatMap(tombstoneSql), createSubscriptionSql(request)];',
        replace: `): readonly string[] => old.flatMap((name) => [
          \`alter subscription \${ident(name)} connection \${literal(request.connection)}\`,
          \`alter subscription \${ident(name)} enable\`,
          \`alter subscription \${ident(name)} rename to \${ident(subscriptionName(request.node, request.epoch))}\`,
        ]);`,
      },
    ],
  },
  {
    name: 'sequences-not-set',
    what: 'a switchover leaves the sequences where they are',
    rounds: ['switchover'],
    signs: /^sequence/u,
    edits: [
      {
        file: 'src/operations/runners/switchover.ts',
        find: '      ...sequences,\n',
        replace: '',
      },
    ],
  },
  {
    name: 'failover-sequences-not-set',
    what: 'a failover leaves the sequences where they are',
    rounds: ['crash'],
    signs: /^sequence/u,
    edits: [
      {
        file: 'src/operations/runners/leadership.ts',
        find: 'sequences: sql,',
        replace: 'sequences: [],',
      },
    ],
  },
  {
    name: 'fence-skipped',
    what: 'a switchover does not fence the leader',
    rounds: ['switchover'],
    signs: /^(?:split|lost|replicas differ|doubled)/u,
    edits: [
      {
        file: 'src/operations/runners/fence.ts',
        find: '    ...fences.map(enableFenceSql),\n',
        replace: '',
      },
    ],
  },
  {
    name: 'drain-skipped',
    what: 'a switchover does not wait until the last row has arrived everywhere',
    rounds: ['switchover'],
    signs: WRONG_PLACE,
    edits: [
      {
        file: 'src/operations/runners/switchover.ts',
        find: '((await session.prepared(sql)).length > 0 ? true : undefined)',
        replace: '((await session.prepared(sql)).length >= 0 ? true : undefined)',
      },
    ],
  },
];
