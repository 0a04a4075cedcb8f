/** Scenario files: what is right, what is wrong and how that is said, and the schedule that a seed draws. */
import { describe, expect, it } from 'vitest';
import { loadScenarios, parseScenario, shippedFiles } from '../../../src/drill/load.js';
import { planDrill } from '../../../src/drill/plan.js';
import { resolve } from '../../../src/drill/roles.js';
import { RepctlError } from '../../../src/errors.js';

const scenario = (rest: string): string => `name: mine\ntitle: Mine\n${rest}`;

function complaint(text: string): string {
  try {
    parseScenario(text, 'mine.yaml');
  } catch (error) {
    if (error instanceof RepctlError) {
      expect(error.exit).toBe(2);
      return `${error.code}: ${error.message} ${error.hint ?? ''}`;
    }
    throw error;
  }
  return 'none';
}

describe('a scenario file', () => {
  it('has defaults for everything but name and title', () => {
    expect(
      parseScenario(scenario('steps: [{ kill: leader }, { failover: true }]'), 'mine.yaml'),
    ).toMatchObject([
      {
        name: 'mine',
        variant: null,
        safe: false,
        cluster: { nodes: 4, pg: ['18'], sync: 'async', delay: 0 },
        workload: { pool: { size: 5, overflow: 10, timeout: 30_000, prePing: true } },
        expect: { rpo: { rows: 0 }, health: 'healthy' },
        steps: [{ action: 'kill' }, { action: 'failover' }],
      },
    ]);
  });

  it('makes one experiment of each variant', () => {
    const all = parseScenario(
      scenario(
        'cluster: { nodes: 3 }\nvariants: [{ name: a, cluster: { sync: any 1 } }, { name: b, workload: { pool: { prePing: false } } }]',
      ),
      'mine.yaml',
    );
    expect(
      all.map((one) => [one.variant, one.cluster.nodes, one.cluster.sync, one.workload.pool.prePing]),
    ).toEqual([
      ['a', 3, 'any 1', true],
      ['b', 3, 'async', false],
    ]);
  });

  it.each([
    ['an unknown key', 'stpes: []', 'mine.yaml:3: stpes: there is no such key. Did you mean steps?'],
    [
      'an unknown key further down',
      'cluster: { node: 4 }',
      'mine.yaml:3: cluster.node: there is no such key',
    ],
    [
      'a value that does not fit',
      'cluster: { sync: any }',
      'cluster.sync: has a value that does not fit; write async, any K or all',
    ],
    [
      'an unknown step',
      'steps: [{ kil: leader }]',
      'mine.yaml:3: steps.0: this step does nothing: there is no step kil. Did you mean kill?',
    ],
    ['two things in a step', 'steps: [{ kill: n1, start: n1 }]', 'a step does one thing, not kill and start'],
    ['an unknown key of a step', 'steps: [{ kill: n1, args: [x] }]', 'steps.0.args: there is no such key'],
    [
      'no duration',
      'steps: [{ wait: soon }]',
      'steps.0.wait: has a value that does not fit; write a duration such as',
    ],
    [
      'an unknown node',
      'steps: [{ kill: n9 }]',
      'mine.yaml:3: steps.0.kill: there is no node n9; nodes: n1, n2, n3, n4.',
    ],
    ['a replica too many', 'steps: [{ kill: replica-4 }]', 'there is no replica-4 in a cluster of 4'],
    [
      'time that runs backwards',
      'steps: [{ at: 5s, wait: 1s }, { at: 2s, wait: 1s }]',
      'steps.1.at: time runs backwards: 2s after 5s',
    ],
    ['a node that is started while it runs', 'steps: [{ start: n2 }]', 'steps.0.start: n2 is running then'],
    ['a node that is killed twice', 'steps: [{ kill: n2 }, { kill: n2 }]', 'steps.1.kill: n2 is down then'],
    ['a node that is woken and was not frozen', 'steps: [{ resume: n2 }]', 'n2 is running then'],
    ['a cut that is not there', 'steps: [{ heal: n2 }]', 'steps.0.heal: nothing is isolated then'],
    ['a former leader before there is one', 'steps: [{ rejoin: former }]', 'nobody has led before'],
    [
      'a quorum that cannot be',
      'cluster: { nodes: 3, sync: any 3 }',
      'cluster.sync: there are only 2 replicas',
    ],
    [
      'an expectation that cannot be judged',
      'expect: { rto: 5s }',
      'expect.rto: cannot be judged: nothing happens to the leader',
    ],
    [
      'reads that nobody makes',
      'workload: { readers: { clients: 0 } }\nexpect: { reads: { availability: 1 } }',
      'expect.reads: cannot be judged: there are no readers',
    ],
    [
      'a disk to fill that is the whole machine’s',
      'steps: [{ fill: n2 }]',
      'steps.0.fill: give the nodes disks of their own (cluster.disk)',
    ],
    [
      'a command of repctl for physical standbys',
      'cluster: { replication: physical }\nsteps: [{ failover: true }]',
      'steps.0.failover: repctl has nothing to do with physical standbys',
    ],
    [
      'commits that wait for physical standbys',
      'cluster: { replication: physical, sync: any 1 }',
      'cluster.sync: repctl has no hand in commits with physical standbys',
    ],
    [
      'balance where there is only one replica',
      'cluster: { nodes: 2 }\nexpect: { reads: { balance: 0.5 } }',
      'expect.reads: cannot be judged: there are no two replicas to balance',
    ],
    [
      'balance of writes',
      'expect: { writes: { balance: 0.5 } }',
      'expect.writes.balance: there is no such key',
    ],
    [
      'a breaking step called safe',
      'safe: true\nsteps: [{ kill: leader }]',
      'a scenario with kill is not safe',
    ],
    [
      'a failover called safe',
      'safe: true\nsteps: [{ failover: true }]',
      'steps.0.failover: a scenario with failover is not safe: true',
    ],
    ['a command called safe', 'safe: true\nsteps: [{ repctl: [fence] }]', 'safe: true may only read: status'],
    [
      'a safe switchover with arguments',
      'safe: true\nsteps: [{ switchover: true, args: [--terminate-blockers] }, { switchover: former }]',
      'a switchover with arguments is not safe: true',
    ],
    [
      'a node by name called safe',
      'safe: true\nsteps: [{ switchover: true }, { switchover: n1 }]',
      'names nodes by what they are (former, replica), not n1',
    ],
    [
      'a safe switchover that stays away',
      'safe: true\nsteps: [{ switchover: true }, { switchover: true }, { switchover: former }]',
      'safe: true ends where it began',
    ],
    [
      'a variant that does not fit',
      'variants: [{ name: a, cluster: { nodes: many } }]',
      'cluster.nodes: has a value that does not fit',
    ],
    ['no YAML', 'steps: [', 'scenario-invalid: mine.yaml:'],
  ])('with %s is refused, with line and what to write', (_, rest, words) => {
    expect(complaint(scenario(rest))).toContain(words);
  });

  it('that is not there is named, with the nearest that is', () => {
    expect(() => loadScenarios(['leader-kiled'])).toThrow(
      expect.objectContaining({ code: 'unknown-scenario' }),
    );
    expect(() => loadScenarios(['./nowhere.yaml'])).toThrow(
      expect.objectContaining({ code: 'scenario-unreadable' }),
    );
    expect(() => loadScenarios(['leader-killed/x'])).toThrow(
      expect.objectContaining({ code: 'unknown-scenario' }),
    );
  });
});

describe('shipped scenarios', () => {
  it.each(shippedFiles())('%s can be read and says what it asks', (file) => {
    for (const one of loadScenarios([file])) {
      expect(file.endsWith(`/${one.name}.yaml`)).toBe(true);
      expect(one.about).not.toBeNull();
      expect(planDrill(one, 1).steps.length).toBeGreaterThanOrEqual(one.steps.length);
    }
  });
});

describe('the schedule', () => {
  const [random] = parseScenario(
    scenario('random: 10\nsteps: [{ at: 1s..9s, kill: replica }, { start: replica }]'),
    'mine.yaml',
  );

  it('is the same for the same seed, and another for another', () => {
    expect(planDrill(random!, 7)).toEqual(planDrill(random!, 7));
    expect(planDrill(random!, 7)).not.toEqual(planDrill(random!, 8));
    const seeds = new Set(
      Array.from({ length: 20 }, (_, seed) => JSON.stringify(planDrill(random!, seed).steps)),
    );
    expect(seeds.size).toBe(20);
  });

  it('counts replicas in an order of its own, whoever leads', () => {
    const order = ['n3', 'n2', 'n4', 'n1'];
    expect(resolve('replica-1', { leader: 'n1', former: null, order })).toEqual(['n3']);
    expect(resolve('replica-1', { leader: 'n3', former: 'n1', order })).toEqual(['n2']);
    expect(resolve(['former', 'leader'], { leader: 'n3', former: 'n1', order })).toEqual(['n1', 'n3']);
    expect(resolve('replicas', { leader: 'n3', former: 'n1', order })).toEqual(['n2', 'n4', 'n1']);
  });
});
