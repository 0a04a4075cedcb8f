/** Faults to plant into the program (test/long/sabotage.long.test.ts): the judge must catch each of them. */
import type { Round } from './generate.js';
import type { Fault } from './program.js';

export interface Sabotage extends Fault {
  /** What brings it to light soonest. */
  readonly rounds: readonly Round[];
}

export const FAULTS: readonly Sabotage[] = [
  {
    name: 'mapping-behind',
    what: 'mapping off by one: the last transaction that a sibling has is sent again',
    rounds: ['crash', 'late'],
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
    what: 'the promotion leaves the sequences where they are',
    rounds: ['crash'],
    edits: [
      {
        file: 'src/operations/runners/leadership.ts',
        find: 'if (first === undefined) return sql;',
        replace: 'if (first === undefined) return [];',
      },
    ],
  },
  {
    name: 'base-ignored',
    what: 'a sibling is mapped although the slot begins after its position',
    rounds: ['late', 'crash'],
    edits: [
      {
        file: 'src/operations/mappable.ts',
        find: 'if (compareLsn(subscription.appliedLsn, base.baseLsn) < 0)',
        replace: 'if (subscription.name === "")',
      },
    ],
  },
];
