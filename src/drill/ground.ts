/** Where a drill takes place: servers, the cluster, the first rows, the configuration that repctl is given. */
import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import type { ClusterConfig } from '../config/schema.js';
import { openFleet } from '../cluster/fleet.js';
import { RepctlError } from '../errors.js';
import { PRODUCTS, productsTableSql } from '../products/schema.js';
import { type Sandbox, delayLinks, startSandbox, toClusterConfig, toFileConfig } from '../sandbox/sandbox.js';
import type { Children, Ran } from './children.js';
import { followPhysically } from './physical.js';
import type { ClusterPart } from './scenario.js';
import { STOCK, firstRows, firstRowsSql } from './workload/rows.js';

export interface Ground {
  readonly sandbox: Sandbox;
  readonly config: ClusterConfig;
  /** Past the proxy, by node. */
  readonly direct: Readonly<Record<string, string>>;
}

export interface GroundRequest {
  readonly cluster: ClusterPart;
  readonly directory: string;
  /** Where to write repctl.yaml. */
  readonly configFile: string;
  readonly children: Children;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Servers, then `repctl cluster create`, then the sync mode and slow links. Throws what the sandbox throws, and `drill-failed`. */
export async function openGround(request: GroundRequest): Promise<Ground> {
  const { cluster, directory, children, say } = request;
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
    request.configFile,
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
    direct: Object.fromEntries(sandbox.nodes.map((node) => [node.name, node.directUrl])),
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

export function succeeded(ran: Ran, what: string): void {
  if (ran.code === 0) return;
  throw new RepctlError(
    'drill-failed',
    `repctl ${what} ended with exit status ${String(ran.code)}: ${ran.stderr.trim()}`,
    {
      exit: 1,
    },
  );
}
