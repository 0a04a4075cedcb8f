/** Judged from outside: do nodes hold the same rows, and what did repctl leave behind? */
import { expect } from 'vitest';
import type { Fleet } from '../../src/cluster/fleet.js';
import type { TableName } from '../../src/cluster/model.js';
import { tablesEqual } from '../../src/consistency/equal.js';

const TABLES: readonly TableName[] = [
  { schema: 'public', name: 'products' },
  { schema: 'repctl', name: 'epoch' },
  { schema: 'repctl', name: 'event' },
];

/** Every node has the leader's rows, once the stream has brought them. */
export async function expectEqual(
  fleet: Fleet,
  leader: string,
  nodes: readonly string[],
  tables = TABLES,
): Promise<void> {
  for (const name of nodes) {
    await expect
      .poll(
        async () =>
          (await tablesEqual(await fleet.session(leader), await fleet.session(name), tables))
            .filter((result) => !result.equal)
            .map(({ table, reason }) => `${name}.${table.name}: ${reason ?? ''}`),
        { timeout: 20_000 },
      )
      .toEqual([]);
  }
}

/** What of repctl is on a node: counted by kind, empty after `destroy` and `node remove`. */
export async function leftovers(fleet: Fleet, name: string): Promise<Record<string, number>> {
  const session = await fleet.session(name);
  const [row] = await session.query<Record<string, string>>(
    `select (select count(*) from pg_subscription where subname like 'repctl%') as subscriptions,
            (select count(*) from pg_replication_slots where database = current_database()) as slots,
            (select count(*) from pg_replication_origin) as origins,
            (select count(*) from pg_publication) as publications,
            (select count(*) from pg_trigger where tgname = 'repctl_fence') as fences,
            (select count(*) from pg_namespace where nspname = 'repctl') as schemas`,
  );
  return Object.fromEntries(
    Object.entries(row ?? {})
      .map(([kind, count]) => [kind, Number(count)] as const)
      .filter(([, count]) => count > 0),
  );
}
