/** A Snapshot seen by publication. Pure. */
import { reachableNodes } from '../../cluster/epochs.js';
import type { FenceState, ReachableNode, Snapshot, TableName } from '../../cluster/model.js';
import { PUBLICATION } from '../../cluster/names.js';
import { EXIT, RepctlError } from '../../errors.js';
import { compareTables, tableKey } from '../publications.js';
import { nodesOf, type Unseen, unseenNodes } from './answers.js';

export interface PublicationRow {
  readonly node: string;
  readonly name: string;
  readonly own: boolean;
  readonly allTables: boolean;
  readonly tables: readonly TableName[];
}

export interface PublicationList {
  readonly publications: readonly PublicationRow[];
  readonly unreachable: readonly Unseen[];
}

export const publicationList = (snapshot: Snapshot, only?: string): PublicationList => ({
  publications: nodesOf(snapshot, only).flatMap((node) =>
    node.publications.map(({ name, own, allTables, tables }) => ({
      node: node.name,
      name,
      own,
      allTables,
      tables,
    })),
  ),
  unreachable: unseenNodes(snapshot, only),
});

export interface PublicationTable extends TableName {
  /** Nodes whose publication has it. */
  readonly nodes: readonly string[];
  /** The fence on each of them; null for what repctl did not publish. */
  readonly fences: Readonly<Record<string, FenceState>> | null;
  readonly replicaIdentity: string | null;
  readonly hasPrimaryKey: boolean | null;
}

export interface PublicationView {
  readonly name: string;
  readonly own: boolean;
  /** Nodes that have a publication of this name. */
  readonly nodes: readonly string[];
  /** Reachable nodes that have none. */
  readonly missingOn: readonly string[];
  readonly allTables: boolean;
  readonly tables: readonly PublicationTable[];
  /** Every reachable node publishes the same tables. */
  readonly alike: boolean;
  readonly unreachable: readonly Unseen[];
}

/** One publication over all nodes. Throws `unknown-publication` (exit 2) when no node has it. */
export function publicationView(snapshot: Snapshot, name: string): PublicationView {
  const nodes = reachableNodes(snapshot);
  const having = nodes.filter((node) => node.publications.some((one) => one.name === name));
  if (having.length === 0) {
    const known = [...new Set(nodes.flatMap((node) => node.publications.map((one) => one.name)))];
    throw new RepctlError('unknown-publication', `No reachable node has a publication ${name}.`, {
      exit: nodes.length === 0 ? EXIT.unreachable : EXIT.usage,
      hint: known.length === 0 ? 'repctl cluster create' : `Known publications: ${known.join(', ')}`,
    });
  }
  const own = name === PUBLICATION;
  const tablesOf = (node: ReachableNode): readonly TableName[] =>
    own ? node.tables : (node.publications.find((one) => one.name === name)?.tables ?? []);
  const all = new Map<string, TableName>();
  for (const node of having) for (const table of tablesOf(node)) all.set(tableKey(table), table);
  const tables = [...all.values()].sort(compareTables).map(({ schema, name: table }): PublicationTable => {
    const key = tableKey({ schema, name: table });
    const holders = having.filter((node) => tablesOf(node).some((one) => tableKey(one) === key));
    const facts = holders.flatMap((node) =>
      node.tables.filter((one) => own && tableKey(one) === key).map((one) => [node.name, one] as const),
    );
    return {
      schema,
      name: table,
      nodes: holders.map((node) => node.name),
      fences: own ? Object.fromEntries(facts.map(([node, one]) => [node, one.fence])) : null,
      replicaIdentity: facts[0]?.[1].replicaIdentity ?? null,
      hasPrimaryKey: facts[0]?.[1].hasPrimaryKey ?? null,
    };
  });
  const missingOn = nodes.filter((node) => !having.includes(node)).map((node) => node.name);
  return {
    name,
    own,
    nodes: having.map((node) => node.name),
    missingOn,
    allTables: having.some((node) => node.publications.some((one) => one.name === name && one.allTables)),
    tables,
    alike: missingOn.length === 0 && tables.every((table) => table.nodes.length === having.length),
    unreachable: unseenNodes(snapshot),
  };
}
