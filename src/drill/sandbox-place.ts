/** A sandbox that is made for one drill: servers, the cluster, the first rows. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import type { ClusterConfig } from '../config/schema.js';
import { writePrivateFile } from '../config/write.js';
import { openFleet } from '../cluster/fleet.js';
import { PRODUCTS, productsTableSql } from '../products/schema.js';
import {
  type Sandbox,
  delayLinks,
  down,
  proxyStatus,
  readState,
  startSandbox,
  toClusterConfig,
  toFileConfig,
} from '../sandbox/sandbox.js';
import { openChildren, ownEnvironment } from './children.js';
import { exportsOf, operatorEnvironment } from './game-day.js';
import { type Ground, type GroundRequest, type Place, succeeded } from './ground.js';
import { lockDrill } from './lock.js';
import { followPhysically } from './physical.js';
import { nodeNames } from './roles.js';
import { STOCK, firstRows, firstRowsSql } from './workload/rows.js';

/** Below `directory`, which must be new or empty. */
export const sandboxPlace = (directory: string): Place => ({
  async take(run) {
    const lock = await lockDrill(directory, run);
    const files: string[] = [];
    return {
      fit: (scenario) => ({ scenario, nodes: nodeNames(scenario.cluster.nodes) }),
      async settle(record) {
        const configFile = path.join(record, 'repctl.yaml');
        const operate = path.join(record, 'operate.sh');
        const home = path.join(record, 'state');
        files.push(configFile, operate);
        await mkdir(home, { mode: 0o700 });
        const shell = operatorEnvironment(record, { sandbox: directory, configFile, home });
        await writePrivateFile(operate, exportsOf(shell));
        const children = openChildren(record, ownEnvironment(home, configFile), directory);
        return { children, stops: true, home, configFile, operate };
      },
      open: (request) => openSandbox(directory, request),
      async leave(children, kept) {
        try {
          const left = await readState(directory);
          if (left && !kept) await down(left);
          if (!kept) for (const file of files) await rm(file, { force: true });
          children?.release();
        } finally {
          if (kept) await lock.keep();
          else await lock.release();
        }
      },
    };
  },
});

/** Servers, then `repctl cluster create`, then the sync mode and slow links. Throws what the sandbox throws, and `drill-failed`. */
async function openSandbox(directory: string, request: GroundRequest): Promise<Ground> {
  const { scenario, quarters, say } = request;
  const { cluster } = scenario;
  const { children, configFile } = quarters;
  say(`starting ${String(cluster.nodes)} servers (PostgreSQL ${cluster.pg.join(', ')})`);
  const sandbox = await startSandbox({
    directory,
    nodes: cluster.nodes,
    pg: cluster.pg,
    proxy: true,
    cluster: 'drill',
    settings: cluster.settings,
    diskMegabytes: cluster.disk,
    signal: request.signal,
    notice: say,
  });
  const seconds = (ms: number): number => ms / 1000;
  const physical = cluster.replication === 'physical';
  // Of physical standbys repctl knows nothing: its cluster is their leader alone.
  const members = physical ? 1 : cluster.nodes;
  const { cluster: name, tables, nodes } = toFileConfig(sandbox);
  await writeFile(
    configFile,
    stringify({
      cluster: name,
      tables,
      nodes: Object.fromEntries(Object.entries(nodes).slice(0, members)),
      connectTimeout: seconds(cluster.connectTimeout),
      statementTimeout: seconds(cluster.statementTimeout),
      drainTimeout: seconds(cluster.drainTimeout),
    }),
    { mode: 0o600 },
  );
  const config: ClusterConfig = {
    ...toClusterConfig(sandbox),
    connectTimeoutMs: cluster.connectTimeout,
    statementTimeoutMs: cluster.statementTimeout,
    drainTimeoutMs: cluster.drainTimeout,
  };
  await fill({ ...config, nodes: config.nodes.slice(0, members) });
  say('building the cluster');
  succeeded(await children.repctl(['cluster', 'create', '--yes']), 'cluster create');
  if (physical) {
    say('copying the leader to its standbys');
    await followPhysically(sandbox, cluster.settings);
  }
  if (cluster.sync !== 'async')
    succeeded(await children.repctl(['sync', ...cluster.sync.split(' '), '--yes']), 'sync');
  if (cluster.delay > 0) await delayLinks(sandbox, cluster.delay);
  return {
    sandbox,
    config,
    table: PRODUCTS,
    direct: Object.fromEntries(sandbox.nodes.map((node) => [node.name, node.directUrl])),
    leader: 'n1',
    versions: Object.fromEntries(sandbox.nodes.map((node) => [node.name, node.version])),
    traffic: () => trafficIn(sandbox),
  };
}

async function fill(config: ClusterConfig): Promise<void> {
  const fleet = openFleet(config);
  try {
    for (const node of config.nodes) {
      const session = await fleet.session(node.name);
      for (const statement of productsTableSql) await session.simple(statement);
    }
    await (await fleet.session('n1')).query(firstRowsSql(PRODUCTS), [firstRows, STOCK]);
  } finally {
    await fleet.close();
  }
}

/** A proxy that does not answer has carried nothing that is known. */
async function trafficIn(sandbox: Sandbox): Promise<Record<string, number>> {
  const links = (await proxyStatus(sandbox).catch(() => [])).filter(({ from }) => from !== 'clients');
  const sent: Record<string, number> = {};
  for (const { to, answered } of links) sent[to] = (sent[to] ?? 0) + answered;
  return sent;
}
