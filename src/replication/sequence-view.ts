/** The sequences of all nodes side by side, and what brings the replicas near the leader. */
import { leaderOf, reachableNodes } from '../cluster/epochs.js';
import type { Fleet } from '../cluster/fleet.js';
import type { Snapshot, TableName } from '../cluster/model.js';
import { EXIT, RepctlError } from '../errors.js';
import {
  type SequenceColumn,
  type SequenceInfo,
  type SequenceUse,
  highestInUse,
  readSequences,
  syncSequenceSql,
} from './sequences.js';
import { compareTables, tableKey } from './publications.js';
import { type Unseen, unseenNodes } from './views/answers.js';

export interface SequenceOnNode {
  readonly node: string;
  readonly lastValue: string;
  /** Whether lastValue was handed out. */
  readonly isCalled: boolean;
  /** In this node's rows; null with no column or no row. */
  readonly highestInUse: string | null;
}

export interface SequenceRow extends TableName {
  readonly columns: readonly SequenceColumn[];
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cycle: boolean;
  readonly nodes: readonly SequenceOnNode[];
  readonly missingOn: readonly string[];
}

export interface SequenceList {
  readonly leader: string | null;
  readonly sequences: readonly SequenceRow[];
  readonly unreachable: readonly Unseen[];
}

export type SequencesByNode = ReadonlyMap<string, readonly SequenceUse[]>;

/** Sequences of the published tables, and free ones, of every node that answers. */
export async function observeSequences(fleet: Fleet, snapshot: Snapshot): Promise<SequencesByNode> {
  const nodes = reachableNodes(snapshot);
  const published = nodes.find((node) => node.name === leaderOf(snapshot)?.name)?.tables ?? nodes[0]?.tables;
  const entries = await Promise.all(
    nodes.map(async (node) => {
      const session = await fleet.session(node.name);
      const sequences = await readSequences(session, published);
      return [node.name, await highestInUse(session, sequences)] as const;
    }),
  );
  return new Map(entries);
}

/** All of them side by side. Pure. */
export function sequenceList(snapshot: Snapshot, byNode: SequencesByNode): SequenceList {
  const leader = leaderOf(snapshot)?.name ?? null;
  const first = new Map<string, SequenceInfo>();
  const ordered = [...byNode].sort(([a], [b]) => Number(b === leader) - Number(a === leader));
  for (const [, sequences] of ordered)
    for (const sequence of sequences)
      if (!first.has(tableKey(sequence))) first.set(tableKey(sequence), sequence);
  const sequences = [...first.values()].sort(compareTables).map((sequence): SequenceRow => {
    const key = tableKey(sequence);
    const nodes = [...byNode].flatMap(([node, list]) =>
      list
        .filter((one) => tableKey(one) === key)
        .map(({ lastValue, isCalled, highestInUse: highest }) => ({
          node,
          lastValue,
          isCalled,
          highestInUse: highest,
        })),
    );
    const { schema, name, columns, increment, min, max, cycle } = sequence;
    const missingOn = [...byNode.keys()].filter((node) => !nodes.some((one) => one.node === node));
    return { schema, name, columns, increment, min, max, cycle, nodes, missingOn };
  });
  return { leader, sequences, unreachable: unseenNodes(snapshot) };
}

export interface SequenceSync {
  readonly node: string;
  readonly sequence: TableName;
  readonly from: string;
  readonly to: string;
  readonly sql: string;
}

/** What brings every replica's sequences to where the leader's are. Pure. Throws `no-leader` (exit 3). */
export function planSequenceSync(
  snapshot: Snapshot,
  byNode: SequencesByNode,
): { readonly moves: readonly SequenceSync[]; readonly missing: readonly (TableName & { node: string })[] } {
  const leader = leaderOf(snapshot)?.name ?? '';
  const leaders = byNode.get(leader);
  if (leaders === undefined) {
    throw new RepctlError(
      'no-leader',
      'The leader does not answer; its sequences are what replicas follow.',
      {
        exit: EXIT.unreachable,
        hint: 'repctl status',
      },
    );
  }
  const moves: SequenceSync[] = [];
  const missing: (TableName & { node: string })[] = [];
  for (const [node, sequences] of byNode) {
    if (node === leader) continue;
    for (const model of leaders) {
      const one = sequences.find((candidate) => tableKey(candidate) === tableKey(model));
      const { schema, name } = model;
      if (one === undefined) missing.push({ node, schema, name });
      const sql = one === undefined ? null : syncSequenceSql(one, model);
      if (one !== undefined && sql !== null)
        moves.push({ node, sequence: { schema, name }, from: one.lastValue, to: model.lastValue, sql });
    }
  }
  return { moves, missing };
}
