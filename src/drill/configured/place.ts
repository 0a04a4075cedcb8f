/**
 * A cluster of the user's, for scenarios that break nothing: the drill has a table of its own there, published and
 * subscribed as `publication add` does it, and takes it away again. Leadership ends where it began.
 */
import { type Fleet, openFleet } from '../../cluster/fleet.js';
import type { ReachableNode } from '../../cluster/model.js';
import { syncText } from '../../cluster/sync.js';
import { stateDir } from '../../config/paths.js';
import type { ClusterConfig } from '../../config/schema.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';
import { type Children, openChildren, sameEnvironment } from '../children.js';
import { newestEpoch } from '../finals.js';
import { type Ground, type GroundRequest, type Place, type Taken, succeeded } from '../ground.js';
import type { Scenario } from '../scenario.js';
import { STOCK, firstRows, firstRowsSql } from '../workload/rows.js';
import { lockCluster } from './lock.js';
import { type ClusterLook, lookAt } from './look.js';
import { leftoverIn, requireFit, requireFree } from './refusals.js';
import { removeTable } from './remove.js';
import { DRILL_TABLE, createSql } from './table.js';

const TABLE = `${DRILL_TABLE.schema}.${DRILL_TABLE.name}`;

/** `scenarios` are all that are to run there. Taking it throws what refusals.ts has. */
export const clusterPlace = (config: ClusterConfig, scenarios: readonly Scenario[]): Place => ({
  async take(run) {
    const fleet = openFleet(config, { applicationName: 'repctl drill', commitsLocally: true });
    const file = ['environment', 'sandbox'].includes(config.source) ? undefined : config.source;
    const children = openChildren(process.cwd(), sameEnvironment(file));
    try {
      await lockCluster(fleet);
      let look = await lookAt(fleet);
      requireFree(look);
      const leftover = leftoverIn(look);
      let changed: string | undefined;
      if (leftover !== undefined) {
        await removeTable(fleet, children, leftover.everywhere);
        changed = `What drill ${leftover.mark.run} had left was removed; nothing else was changed.`;
        look = await lookAt(fleet);
      }
      const { leader } = requireFit(look, scenarios, changed);
      return taken({ run, config, fleet, children, look, leader });
    } catch (error) {
      await fleet.close();
      throw error;
    }
  },
});

interface Hold {
  readonly run: string;
  readonly config: ClusterConfig;
  readonly fleet: Fleet;
  readonly children: Children;
  readonly look: ClusterLook;
  /** Who leads before the drill. */
  readonly leader: string;
}

function taken(hold: Hold): Taken {
  const { config, fleet, children, leader } = hold;
  const names = config.nodes.map(({ name }) => name);
  let begun = false;
  let everywhere = false;
  return {
    fit: (scenario) => ({
      scenario: { ...scenario, cluster: clusterOf(hold) },
      nodes: [leader, ...names.filter((name) => name !== leader)],
    }),
    settle: () =>
      Promise.resolve({ children, stops: false, home: stateDir(), configFile: config.source, operate: null }),
    async open(request) {
      begun = true;
      await makeTable(hold, request.say);
      everywhere = true;
      return openCluster(hold, request);
    },
    async leave() {
      const failures = begun ? await takenAway(hold, everywhere) : [];
      await fleet.close();
      if (failures.length === 0) return;
      throw new RepctlError(
        'drill-left-over',
        `The drill is over, but not everything is as it was: ${failures.map(messageOf).join('; ')}`,
        {
          exit: EXIT.incomplete,
          hint: `repctl status says what is wrong. ${leader} led before: repctl switchover ${leader}\nThe next repctl drill run --cluster removes ${TABLE} where it is left.`,
          details: { table: TABLE, leader },
        },
      );
    },
  };
}

/** Every part is tried, whatever became of the one before: what went wrong. */
async function takenAway({ config, fleet, children, leader }: Hold, everywhere: boolean): Promise<unknown[]> {
  const failures: unknown[] = [];
  const attempt = (part: () => Promise<void>): Promise<void> =>
    part().catch((error: unknown) => void failures.push(error));
  await attempt(async () => {
    const epoch = await newestEpoch(urlsOf(config));
    if (epoch === undefined || epoch.leader === leader) return;
    succeeded(await children.repctl(['switchover', leader, '--yes']), `switchover ${leader}`);
  });
  await attempt(() => removeTable(fleet, children, everywhere));
  return failures;
}

const urlsOf = ({ nodes }: ClusterConfig): Record<string, string> =>
  Object.fromEntries(nodes.map(({ name, url }) => [name, url]));

const versionsOf = ({ snapshot }: ClusterLook): Record<string, string> =>
  Object.fromEntries(
    snapshot.nodes
      .filter((node): node is ReachableNode => node.reachable)
      .map(({ name, version }) => [name, version]),
  );

/** The servers that there are, in place of those that a sandbox would have been given. */
function clusterOf({ config, look }: Hold): Scenario['cluster'] {
  const majors = Object.values(versionsOf(look)).map((version) => version.split('.')[0] ?? version);
  return {
    nodes: config.nodes.length,
    pg: [...new Set(majors)],
    sync: look.analysis.sync === null ? 'async' : syncText(look.analysis.sync),
    delay: 0,
    replication: 'logical',
    settings: {},
    connectTimeout: config.connectTimeoutMs,
    statementTimeout: config.statementTimeoutMs,
    drainTimeout: config.drainTimeoutMs,
  };
}

/** On every node, the leader's with the first rows, which the replicas copy when they subscribe. */
async function makeTable({ run, config, fleet, leader }: Hold, say: (text: string) => void): Promise<void> {
  say(`making ${TABLE} on ${config.nodes.map(({ name }) => name).join(', ')}`);
  for (const { name } of config.nodes) {
    const session = await fleet.session(name);
    await session.transaction(async () => {
      for (const statement of createSql({ run, leader })) await session.simple(statement);
      if (name === leader) await session.query(firstRowsSql(DRILL_TABLE), [firstRows, STOCK]);
    });
  }
}

async function openCluster(hold: Hold, { quarters, signal, say }: GroundRequest): Promise<Ground> {
  const { config, look, leader } = hold;
  say(`replicating ${TABLE}`);
  const added = await quarters.children.repctl(['publication', 'add', TABLE, '--yes']);
  succeeded(added, `publication add ${TABLE}`);
  if (signal.aborted) throw new RepctlError('interrupted', 'Interrupted.', { exit: EXIT.interrupted });
  return {
    sandbox: null,
    // The routing of products finds its table by the configuration.
    config: { ...config, tables: [TABLE] },
    table: DRILL_TABLE,
    direct: urlsOf(config),
    leader,
    versions: versionsOf(look),
    traffic: () => Promise.resolve(null),
  };
}
