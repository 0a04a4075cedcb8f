/**
 * Clocks that are an hour off. What nodes tell each other of time are rows that their servers stamp (column defaults),
 * so a leader whose clock is wrong is one whose defaults are; the operator's own clock is moved under the program.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fleet } from '../../../src/cluster/fleet.js';
import { killNode } from '../../../src/sandbox/sandbox.js';
import { type Cli, makeCli } from '../../support/home-cli.js';
import { failing, writeConfig } from '../../support/operator.js';
import { type Servers, startServers } from '../../support/servers.js';

/** Date an hour before or after, in the program alone. */
const operatorsClock = (hours: number) => ({
  NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(
    `const Real = Date, by = ${String(hours * 3_600_000)};
     globalThis.Date = class extends Real {
       constructor(...given) { given.length === 0 ? super(Real.now() + by) : super(...given); }
       static now() { return Real.now() + by; }
     };`,
  )}`,
});

interface Status {
  readonly state: string;
  readonly takenAt: string;
  readonly sync: { readonly mode: string; readonly agrees: boolean };
  readonly findings: readonly { readonly code: string }[];
}

describe('a clock that is an hour off', () => {
  let servers: Servers;
  let fleet: Fleet;
  let cli: Cli;
  beforeAll(async () => {
    servers = await startServers();
    fleet = servers.fleet();
    cli = makeCli();
    writeConfig(cli, {
      cluster: servers.config.cluster,
      nodes: Object.fromEntries(servers.config.nodes.map(({ name, url }) => [name, { url }])),
    });
    await done(['cluster', 'create', '--with-products', '--yes']);
  });
  afterAll(async () => {
    await servers.down();
    cli.end();
  });

  const done = async (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<void> => {
    const { code, stdout, stderr } = await cli.run(args, { env });
    expect(code, `${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
  };
  const serversClock = async (node: string, hours: number): Promise<void> => {
    const session = await servers.superuser(node);
    const at = `clock_timestamp() + interval '${String(hours)} hours'`;
    await session.simple(
      `alter table repctl.event alter column at set default ${at}; alter table repctl.epoch alter column started_at set default ${at}`,
    );
    await session.close();
  };
  const healthy = (env: Readonly<Record<string, string>> = {}): Promise<Status> =>
    expect
      .poll(async () => (await cli.json<Status>(['status'], { env })).data, { timeout: 30_000 })
      .toMatchObject({ state: 'healthy' })
      .then(async () => (await cli.json<Status>(['status'], { env })).data);

  it('of the operator, either way: states, and the move of the leadership, are the same', async () => {
    for (const [hours, target] of [
      [1, 'n2'],
      [-1, 'n1'],
    ] as const) {
      const env = operatorsClock(hours);
      const { takenAt, findings } = await healthy(env);
      expect(Math.round((Date.parse(takenAt) - Date.now()) / 3_600_000)).toBe(hours);
      expect(findings.map(({ code }) => code)).toEqual(servers.config.nodes.map(() => 'clock-drift'));
      await done(['switchover', target, '--yes'], env);
    }
    await healthy();
  });

  it('of the leader: what its successor records later counts as later', async () => {
    await serversClock('n1', 1);
    const leader = await fleet.session('n1');
    // More than a look at the newest events holds.
    await leader.simple(
      `insert into repctl.event (epoch, kind, operator) select max(epoch), 'slot-advance', 'cron' from repctl.epoch, generate_series(1, 30) group by generate_series`,
    );
    await healthy();
    await killNode(servers.sandbox, 'n1');
    await done(['failover', 'n2', '--yes'], operatorsClock(-1));
    expect(await failing(cli, ['failover', '--yes'], 6)).toMatchObject({ code: 'leader-alive' });
    const { data } = await cli.json<{ unfinished: number[]; events: { kind: string }[] }>(['history']);
    expect(data.unfinished).toEqual([]);
    expect(data.events[0]).toMatchObject({ kind: 'failover' });
  });

  it('that is set back: the newest sync mode is the one that was set last', async () => {
    await serversClock('n2', 1);
    await done(['sync', 'any', '1', '--yes']);
    await serversClock('n2', 0);
    await done(['sync', 'async', '--yes']);
    const { data } = await cli.json<Status>(['status']);
    expect(data.sync).toMatchObject({ mode: 'async', agrees: true });
  });
});
