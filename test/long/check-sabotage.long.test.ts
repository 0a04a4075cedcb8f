/**
 * npm run test:long -- --sabotage: the program with what `check` rests on taken away, against random corruptions and clients
 * that write. A fault that nobody notices is a failure of the proof (test/integration/consistency/corruptions.test.ts).
 */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCluster } from '../integration/consistency/cluster.js';
import {
  CORRUPTIBLE,
  type Play,
  checked,
  corrupt,
  corruptions,
  foundIn,
  homeOf,
  startWriting,
} from '../integration/consistency/corruptions.js';
import { type Fault, buildProgram } from '../support/histories/program.js';
import { type Servers, startServers } from '../support/servers.js';

const DIGEST = 'src/consistency/digest.ts';
const FAST = 'return `hash_record_extended(row(int8send(hash_record_extended(${row}, 0))), 0)`;';
/** Else the self-test notices that the server hashes otherwise, and sha256 is taken. */
const NO_SELF_TEST = {
  file: 'src/consistency/equal.ts',
  find: '?.hash === SELF_TEST_HASH',
  replace: '?.hash !== SELF_TEST_HASH',
};

const FAULTS: readonly Fault[] = [
  {
    name: 'typed-hashes',
    what: "integers under the type's own hash",
    edits: [
      { file: DIGEST, find: 'return `int8send(${column}::int8)`', replace: 'return `${column}::int8`' },
    ],
  },
  {
    name: 'plain-sums',
    what: 'sums of hash_record, which is linear',
    edits: [
      { file: DIGEST, find: FAST, replace: 'return `hash_record_extended(${row}, 0)`;' },
      { file: DIGEST, find: 'coalesce(bit_xor(${hash}), 0)', replace: 'coalesce(sum(${hash}), 0)' },
      NO_SELF_TEST,
    ],
  },
  {
    name: 'no-recheck',
    what: 'what differs at first sight counts as proven',
    edits: [
      {
        file: 'src/consistency/recheck.ts',
        find: 'const verdict = decide(a.get(key), b.get(key), c.get(key));',
        replace: `const verdict = 'suspect' as ReturnType<typeof decide>;`,
      },
      {
        file: 'src/consistency/recheck.ts',
        find: 'reached && before && same(before, seen)',
        replace: 'true',
      },
      // With their values, so that what is wrong is the verdict alone.
      {
        file: 'src/consistency/recheck.ts',
        find: 'round === 0 ? [] : open.filter((key) => suspected.has(key)).slice(0, samples)',
        replace: 'open.slice(0, samples)',
      },
    ],
  },
  {
    name: 'flush-position',
    what: 'the flush instead of the insert position, and no message that flushes',
    edits: [
      {
        file: 'src/consistency/visible.ts',
        find: 'pg_current_wal_insert_lsn()',
        replace: 'pg_current_wal_flush_lsn()',
      },
      {
        file: 'src/consistency/visible.ts',
        find: 'await leader.query(nudgeSql);',
        replace: 'if (!nudgeSql) return nudgeSql;',
      },
    ],
  },
  {
    name: 'unpinned-datestyle',
    what: 'DateStyle as the server has it',
    edits: [
      { file: DIGEST, find: `  DateStyle: 'ISO, YMD',\n`, replace: '' },
      { file: 'src/postgres/session.ts', find: "    `set datestyle = 'ISO, YMD'`,\n", replace: '' },
    ],
  },
];

/** Rounds until one notices. */
const MOST = 3;

describe('check with a fault planted', () => {
  let servers: Servers;
  let home: string;
  const table: string[] = [];
  beforeAll(async () => {
    // What commits without waiting is flushed late, so that what is visible and what is flushed are far apart.
    servers = await startServers({
      nodes: 2,
      pg: ['18', '15'],
      settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB' },
    });
    const replica = await servers.superuser('n2');
    await replica.simple(`alter database shop set datestyle = 'German'`);
    await replica.close();
    const leader = await servers.superuser('n1');
    await leader.simple(`alter role app set synchronous_commit = off`);
    await leader.close();
    await makeCluster(servers, servers.fleet(), CORRUPTIBLE);
    home = homeOf(servers);
  }, 120_000);
  afterAll(async () => {
    console.log(['| fault | what was seen | round |', '| --- | --- | --- |', ...table].join('\n'));
    rmSync(home, { recursive: true, force: true });
    await servers.down();
  });

  test.each<Fault>([{ name: 'none', what: 'nothing: the program as it is', edits: [] }, ...FAULTS])(
    '$name',
    async (fault) => {
      const program = await buildProgram(fault.edits.length === 0 ? undefined : fault);
      const fleet = servers.fleet();
      const play: Play = { servers, fleet, program, home };
      const planned = corruptions(7, 60);
      const expected = planned.flatMap((one) => one.expected);
      try {
        await corrupt(play, 'n2', planned);
        let seen = { missed: [] as string[], wrong: [] as string[] };
        let round = 0;
        while (round < MOST && seen.missed.length + seen.wrong.length === 0) {
          round += 1;
          const writing = startWriting(fleet, { pauseMs: fault.name === 'flush-position' ? 100 : 1 });
          const { result } = await checked(play).finally(() => writing.stop());
          const found = foundIn(result, 'n2');
          seen = {
            missed: expected.filter((one) => !found.includes(one)),
            wrong: found.filter((one) => !expected.includes(one)),
          };
        }
        const caught = seen.missed.length + seen.wrong.length > 0;
        const line = `| ${fault.what} | ${caught ? `${String(seen.missed.length)} missed, ${String(seen.wrong.length)} wrong: ${[...seen.missed, ...seen.wrong][0] ?? ''}` : 'nothing'} | ${String(round)} |`;
        table.push(line);
        console.log(line);
        expect(caught, fault.what).toBe(fault.edits.length > 0);
      } finally {
        program.remove();
        const good = await buildProgram();
        const repaired = await good.run(['repair', '--yes', '--timeout', '60s'], home);
        good.remove();
        expect(repaired, repaired.stdout + repaired.stderr).toMatchObject({ code: 0 });
      }
    },
    300_000,
  );
});
