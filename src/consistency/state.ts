/** What is and is not replicated, and where the sequences stand; pure. */
import type { Finding, ReachableNode, TableName } from '../cluster/model.js';
import { ownSubscription } from '../cluster/epochs.js';
import { PUBLICATION } from '../cluster/names.js';
import { tableKey } from '../replication/publications.js';
import type { SequenceInfo, SequenceUse } from '../replication/sequences.js';

/** The tables that a node's publication `repctl` sends: partitions instead of their partitioned table. */
export const publishedTables = (node: ReachableNode): readonly TableName[] =>
  node.publications.find((publication) => publication.name === PUBLICATION)?.tables ?? [];

/** The leader's publication against what a replica subscribes to. */
export function comparePublication(leader: ReachableNode, replica: ReachableNode): Finding[] {
  const node = replica.name;
  const subscription = ownSubscription(replica);
  if (!subscription?.enabled) {
    const message = subscription
      ? 'its subscription is disabled'
      : 'it has no subscription: it follows no leader';
    return [{ code: 'not-subscribed', severity: 'error', node, message, fix: `repctl rewire ${node}` }];
  }
  const published = publishedTables(leader);
  const states = new Map(subscription.tables.map((table) => [tableKey(table), table.state]));
  const findings: Finding[] = [];
  for (const table of published.map(tableKey)) {
    const state = states.get(table);
    if (state === undefined)
      findings.push({
        code: 'table-not-subscribed',
        severity: 'error',
        node,
        message: `${table} is published but not subscribed to: its changes are skipped silently`,
        fix: `repctl subscription refresh ${subscription.name} --node ${node}`,
      });
    else if (state !== 'r')
      findings.push({
        code: 'table-copying',
        severity: 'warning',
        node,
        message: `${table} is still being copied (state ${state})`,
        fix: 'repctl status',
      });
  }
  const known = new Set(published.map(tableKey));
  for (const table of subscription.tables.map(tableKey).filter((candidate) => !known.has(candidate)))
    findings.push({
      code: 'table-not-published',
      severity: 'warning',
      node,
      message: `${table} is subscribed to but not published by ${leader.name}`,
      fix: `repctl subscription refresh ${subscription.name} --node ${node}`,
    });
  return findings;
}

/** One sequence everywhere. Sequences are not replicated: a promotion sets them past what is in use. */
export interface SequenceState extends TableName {
  readonly leaderLastValue: string;
  /** On the leader; null for a sequence that no column uses, and for empty tables. */
  readonly highestInUse: string | null;
  /** The leader's own sequence is behind its rows: the next insert would collide. */
  readonly behind: boolean;
  /** null where the replica has no such sequence. */
  readonly nodes: readonly { readonly node: string; readonly lastValue: string | null }[];
}

export function compareSequences(
  leader: readonly SequenceUse[],
  nodes: ReadonlyMap<string, readonly SequenceInfo[]>,
): SequenceState[] {
  return leader.map((sequence) => {
    const { schema, name, highestInUse, lastValue } = sequence;
    const sign = BigInt(sequence.increment) < 0n ? -1n : 1n;
    const behind =
      highestInUse !== null && !sequence.cycle && BigInt(highestInUse) * sign > BigInt(lastValue) * sign;
    return {
      schema,
      name,
      leaderLastValue: lastValue,
      highestInUse,
      behind,
      nodes: [...nodes].map(([node, sequences]) => ({
        node,
        lastValue: sequences.find((other) => tableKey(other) === tableKey(sequence))?.lastValue ?? null,
      })),
    };
  });
}
