import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { type Program, buildProgram } from '../../support/histories/program.js';
import { type Servers, startServers } from '../../support/servers.js';
import { makeCluster } from './cluster.js';
import {
  CORRUPTIBLE,
  type Play,
  checked,
  corrupt,
  corruptions,
  fingerprints,
  foundIn,
  homeOf,
  settled,
  startWriting,
} from './corruptions.js';

const SEED = Number(process.env['REPCTL_TEST_SEED'] ?? '1');
/** On each of two replicas. */
const COUNT = 160;

let servers: Servers;
let fleet: Fleet;
let program: Program;
let play: Play;
beforeAll(async () => {
  servers = await startServers({ nodes: 3, pg: ['18', '15', '18'] });
  fleet = servers.fleet();
  program = await buildProgram();
  // Not what a check may lean on.
  const replica = await servers.superuser('n2');
  await replica.simple(
    `alter database shop set datestyle = 'German'; alter database shop set intervalstyle = 'sql_standard'`,
  );
  await replica.close();
  await makeCluster(servers, fleet, CORRUPTIBLE);
  play = { servers, fleet, program, home: homeOf(servers) };
}, 120_000);
afterAll(async () => {
  program.remove();
  rmSync(play.home, { recursive: true, force: true });
  await servers.down();
});

describe(`corrupted at random (seed ${String(SEED)}), while clients write`, () => {
  test('each of them is found at its key and column, and nothing else; repair makes all equal and leaves the leader alone', async () => {
    const leader = await fleet.session('n1');
    const before = await fingerprints(leader, true);
    const planned = { n2: corruptions(SEED, COUNT), n3: corruptions(SEED + 1000, COUNT) };
    await corrupt(play, 'n2', planned.n2);
    await corrupt(play, 'n3', planned.n3);

    const writing = startWriting(fleet, { pauseMs: 1 });
    const { run, result } = await checked(play);
    const { writes, ms } = await writing.stop();
    for (const node of ['n2', 'n3'] as const)
      expect(foundIn(result, node), node).toEqual(planned[node].flatMap((one) => one.expected).toSorted());
    expect(run.code).toBe(5);
    const counts = result.tables.flatMap((table) => table.nodes);
    const sum = (of: 'rechecked' | 'inFlight') => counts.reduce((total, node) => total + node[of], 0);
    console.log(
      `${String(2 * COUNT)} corruptions found among ${String(writes)} writes in ${String(ms)} ms; rechecked ${String(sum('rechecked'))}, in flight ${String(sum('inFlight'))}`,
    );

    const more = startWriting(fleet, { pauseMs: 5 });
    const repaired = await program.run(['repair', '--yes', '--timeout', '60s'], play.home);
    await more.stop();
    expect(repaired, repaired.stdout + repaired.stderr).toMatchObject({ code: 0 });
    await settled(play);
    expect(await fingerprints(leader, true)).toEqual(before);
    const whole = await fingerprints(leader);
    for (const node of ['n2', 'n3'])
      expect(await fingerprints(await fleet.session(node)), node).toEqual(whole);
    expect((await checked(play)).result.verdict).toBe('equal');
  }, 300_000);
});
