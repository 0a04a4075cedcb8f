/** Findings about the configured tables: missing, different, or without a replica identity. Pure. */
import { resolveTables, tableKey } from '../../replication/publications.js';
import type { Finding } from '../model.js';
import { names } from '../words.js';
import type { DoctorTable } from './trials.js';
import type { DoctorView } from './view.js';

/** The configured tables on every node against those of the leader, or of the first node that has them. */
export function tableFindings({ config, trials, analysis }: DoctorView): readonly Finding[] {
  const able = trials.filter((it) => it.failure === null);
  const listed = able.map((it) => ({
    trials: it,
    resolved: resolveTables(config.tables, it.tables),
  }));
  const findings: Finding[] = [];
  const byKey = (tables: readonly DoctorTable[]) => new Map(tables.map((table) => [tableKey(table), table]));
  const all = new Map(
    listed.flatMap(({ resolved }) => resolved.tables.map((table) => [tableKey(table), table] as const)),
  );
  for (const pattern of config.tables) {
    if (listed.length > 0 && listed.every(({ resolved }) => resolved.unmatched.includes(pattern)))
      findings.push({
        code: 'no-tables',
        severity: 'warning',
        message: `no table matches ${pattern} on any node`,
        fix: 'Create it, correct tables in the configuration, or repctl cluster create --with-products.',
      });
  }
  for (const [key, table] of all) {
    const reference =
      able.find((it) => it.node === analysis.leader && byKey(it.tables).has(key)) ??
      able.find((it) => byKey(it.tables).has(key));
    const model = reference && byKey(reference.tables).get(key);
    if (!model) continue;
    for (const it of able) {
      const here = byKey(it.tables).get(key);
      if (!here) {
        findings.push({
          code: 'table-missing',
          severity: 'error',
          node: it.node,
          message: `table ${names([table])} is on ${reference.node} but not here`,
          fix: `Create it as it is on ${reference.node}; DDL is not replicated.`,
        });
        continue;
      }
      if (it !== reference) findings.push(...drift(it.node, reference.node, model, here));
      const parts = it.tables.filter(
        (leaf) =>
          leaf.kind === 'r' && (tableKey(leaf) === key || leaf.ancestors.some((up) => tableKey(up) === key)),
      );
      findings.push(...parts.flatMap((part) => identityFindings(it.node, part)));
    }
  }
  return findings;
}

function drift(node: string, from: string, model: DoctorTable, here: DoctorTable): readonly Finding[] {
  const differences = [
    ...model.columns.flatMap((column) => {
      const twin = here.columns.find((it) => it.name === column.name);
      if (!twin) return [`${column.name} is missing`];
      return twin.type === column.type ? [] : [`${column.name} is ${twin.type}, not ${column.type}`];
    }),
    ...here.columns
      .filter((column) => !model.columns.some((it) => it.name === column.name))
      .map((column) => `${column.name} is here alone`),
    ...(model.kind === here.kind ? [] : ['one is partitioned, the other is not']),
  ];
  if (differences.length === 0) return [];
  return [
    {
      code: 'schema-drift',
      severity: 'error',
      node,
      message: `${names([here])} differs from ${from}: ${differences.join('; ')}`,
      fix: `Bring the table to the definition on ${from}; DDL is not replicated.`,
    },
  ];
}

/** Without an identity the first UPDATE or DELETE on a published table fails, at the client. */
function identityFindings(node: string, table: DoctorTable): readonly Finding[] {
  const name = names([table]);
  if (table.replicaIdentity === 'n' || (table.replicaIdentity === 'd' && !table.hasPrimaryKey))
    return [
      {
        code: 'no-replica-identity',
        severity: 'error',
        node,
        message: `${name} has ${table.replicaIdentity === 'n' ? 'replica identity nothing' : 'no primary key'}: once it is published, updates and deletes on it fail`,
        fix: `Give it a primary key, or alter table ${name} replica identity using index … (full is the slow way).`,
      },
    ];
  if (table.replicaIdentity === 'f')
    return [
      {
        code: 'replica-identity-full',
        severity: 'warning',
        node,
        message: `${name} has replica identity full: each change carries the whole old row, and without an index replicas scan the table for it`,
        fix: `alter table ${name} replica identity default, if it has a primary key`,
      },
    ];
  return [];
}
