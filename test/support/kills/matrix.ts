/** Cells, and running many of them on one set of servers. */
import { readFile } from 'node:fs/promises';
import { type Cell, CUTS, type CellResult, LINKS, type Victim, nameOf, randomOf, runCell } from './cell.js';
import type { Product } from './product.js';
import { type Rig, makeRig } from './rig.js';
import type { Operation } from './scenes.js';

/** Steps of an operation as a run without a strike showed them. */
export type Steps = CellResult['steps'];

export const whole = (operation: Operation, seed: number): Cell => ({
  operation,
  strike: undefined,
  victim: 'nobody',
  manner: 'back',
  seed,
});

/**
 * Each step × {after it, in the middle of it} × each victim; which statement, which kind of cut and whether the
 * victim comes back at once or is done without is drawn by the seed.
 */
export function matrix(operation: Operation, steps: Steps, seed: number): Cell[] {
  // The leader that a failover is about is down: its links carry nothing.
  const links = operation === 'failover' ? (['target-sibling'] as const) : LINKS;
  const victims: readonly (Victim | (typeof LINKS)[number])[] = [
    'repctl',
    'leader',
    'target',
    'sibling',
    ...links,
  ];
  let next = seed * 100_000;
  return steps.flatMap(({ ordinal, statements }) =>
    [false, true].flatMap((middle) =>
      victims.map((victim): Cell => {
        next += 1;
        const random = randomOf(next);
        const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
        const one = LINKS.find((link) => link === victim);
        return {
          operation,
          strike: middle
            ? {
                step: ordinal,
                statement: 1 + Math.floor(random() * Math.max(1, statements)),
                when: pick(['before', 'sent'] as const),
              }
            : { step: ordinal },
          victim: one === undefined ? (victim as Victim) : `${one}/${pick(CUTS)}`,
          manner: pick(['on', 'back'] as const),
          seed: next,
        };
      }),
    ),
  );
}

export interface Series {
  run(cell: Cell): Promise<CellResult>;
  end(): Promise<void>;
}

/** Cells one after another; after a violation the next one gets new servers. */
export function series(product: Product, tell: (line: string) => void): Series {
  let rig: Rig | undefined;
  return {
    async run(cell) {
      rig ??= await makeRig(product);
      const result = await runCell(rig, cell);
      const good = result.violations.length === 0;
      tell(
        `${good ? 'ok  ' : 'FAIL'} ${nameOf(cell)} ${String(result.ms)} ms, ${String(result.acknowledged)} acknowledged, ${String(result.lost)} lost; ${result.struck === '' ? 'not struck' : result.struck}; ${String(result.runs)} commands: ${result.phases.map(([phase, ms]) => `${phase} ${(ms / 1000).toFixed(1)}`).join(', ')} s`,
      );
      if (!good || process.env['KILLS_VERBOSE'] === '1')
        for (const line of [...result.violations.map((it) => `! ${it}`), ...result.transcript])
          tell(`     ${line}`);
      if (!good) {
        for (const line of await postMortem(rig)) tell(`     · ${line}`);
        await rig.down();
        rig = undefined;
      }
      return result;
    },
    async end() {
      await rig?.down();
    },
  };
}

/** What an investigator would look at first. */
async function postMortem(rig: Rig): Promise<string[]> {
  const seen = await rig.status();
  const lines = [
    `status: ${seen.state} ${seen.findings.map((it) => `${it.node ?? ''} ${it.code}`).join(', ')}`,
  ];
  for (const node of rig.servers.sandbox.nodes) {
    const rows = await rig.direct.rows<{ line: string }>(
      node.name,
      `select subname || ' ' || subenabled::text || ' ' || coalesce((select string_agg(srrelid::regclass::text || '=' || srsubstate::text, ' ') from pg_subscription_rel where srsubid = s.oid), '') as line from pg_subscription s
       union all select slot_name || ' ' || active::text || ' ' || confirmed_flush_lsn::text from pg_replication_slots
       union all select roname::text from pg_replication_origin
       union all select 'epochs ' || string_agg(epoch || ' ' || leader || ' ' || operation, ', ' order by epoch desc) from repctl.epoch`,
    );
    lines.push(`${node.name}: ${rows?.map((row) => row.line).join(' | ') ?? 'down'}`);
    const log = await readFile(node.logFile, 'utf8').catch(() => '');
    const errors = log
      .split('\n')
      .filter((line) => /ERROR|FATAL|PANIC/.test(line) && !line.includes('harness'));
    for (const line of errors.slice(-4)) lines.push(`    ${line.slice(0, 300)}`);
  }
  return lines;
}

/** Some of a list, spread by a seed. */
export function sample<T>(of: readonly T[], count: number, seed: number): T[] {
  const random = randomOf(seed);
  return of
    .map((item) => ({ item, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ item }) => item);
}

/** The first of each list, then the second of each, and so on until all are empty. */
export function inTurn<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, index) =>
    lists.flatMap((list) => list.slice(index, index + 1)),
  ).flat();
}
