/** Four servers behind the proxy, a cluster on them made by the program itself, and what a run needs beside them. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { heal, startNode, toFileConfig } from '../../../src/sandbox/sandbox.js';
import { setRoutes } from '../../../src/sandbox/proxy-control.js';
import type { Passage } from '../../../src/sandbox/sandbox.js';
import { type Servers, startServers } from '../servers.js';
import { until } from '../wait.js';
import { type Direct, connectTo, direct } from './direct.js';
import { TABLES, TABLES_SQL } from './ledger.js';
import {
  type Outcome,
  type Status,
  type Terminal,
  manifestCommands,
  manifestFile,
  start,
  status,
} from './operator.js';
import type { Product } from './product.js';
import { type Watcher, startWatcher } from './watcher.js';

export interface Rig {
  readonly servers: Servers;
  readonly names: readonly string[];
  readonly direct: Direct;
  readonly terminal: Terminal;
  readonly watcher: Watcher;
  /** Every command there is, by its id, and whether it takes --yes. */
  readonly commands: ReadonlyMap<string, boolean>;
  leader(): Promise<string>;
  status(): Promise<Status>;
  /** How many times the program was started until now. */
  runs(): number;
  repctl(...argv: readonly string[]): Promise<Outcome>;
  /** Sets routes between two nodes, or from the first to the second alone. */
  link(a: string, b: string, passage: Passage, oneWay?: boolean): Promise<void>;
  /** Every route open and every server running. */
  restore(): Promise<void>;
  down(): Promise<void>;
}

export async function makeRig(product: Product, nodes = 4): Promise<Rig> {
  const servers = await startServers({
    nodes,
    proxy: true,
    settings: {
      ...{ wal_receiver_timeout: '2s', wal_sender_timeout: '2s', wal_receiver_status_interval: '1s' },
      // Servers are killed here, the machine is not: what is written survives. With it, a server that comes back
      // from a crash would first sync every file that it has.
      fsync: 'off',
    },
  });
  const home = await mkdtemp(path.join(tmpdir(), 'repctl-kills-'));
  const { sandbox } = servers;
  const names = sandbox.nodes.map((node) => node.name);
  const configFile = path.join(home, 'repctl.yaml');
  await writeFile(
    configFile,
    stringify({
      ...toFileConfig(sandbox),
      tables: [...TABLES],
      connectTimeout: 3,
      statementTimeout: 4,
      drainTimeout: 3,
    }),
    { mode: 0o600 },
  );
  const terminal: Terminal = { home, configFile, product, starts: 0 };
  const own = direct(sandbox);
  const watchers: Watcher[] = [];
  const manifest = JSON.parse(await readFile(manifestFile(product), 'utf8')) as {
    commands: Record<string, { flags?: Record<string, unknown> }>;
  };
  const commands = new Map(
    [...manifestCommands(manifest)].map((id) => [id, manifest.commands[id]?.flags?.['yes'] !== undefined]),
  );
  const rig: Rig = {
    servers,
    names,
    direct: own,
    terminal,
    get watcher() {
      return watchers[0]!;
    },
    commands,
    async leader() {
      const found = await Promise.all(
        names.map((name) =>
          own.rows<{ epoch: string; leader: string }>(
            name,
            'select epoch, leader from repctl.epoch order by epoch desc limit 1',
          ),
        ),
      );
      const newest = found
        .flatMap((rows) => rows ?? [])
        .toSorted((a, b) => Number(b.epoch) - Number(a.epoch))[0];
      return newest?.leader ?? '';
    },
    status: () => status(terminal),
    runs: () => terminal.starts,
    repctl: (...argv) => start(terminal, argv).ended,
    async link(a, b, passage, oneWay = false) {
      await setRoutes(sandbox, passage, oneWay ? [`${a}>${b}`] : [`${a}>${b}`, `${b}>${a}`]);
    },
    async restore() {
      await heal(sandbox);
      await Promise.all(names.map((name) => startNode(sandbox, name)));
    },
    async down() {
      await Promise.all(watchers.map((watcher) => watcher.stop()));
      await own.close();
      await servers.down();
      await rm(home, { recursive: true, force: true });
    },
  };
  try {
    // As the everyday role, which then owns the tables.
    await Promise.all(
      sandbox.nodes.map(async (node) => {
        const client = connectTo(node.directUrl, 10_000);
        await client.connect();
        await client.query(TABLES_SQL);
        await client.end();
      }),
    );
    const created = await rig.repctl('cluster', 'create', '--yes');
    if (created.code !== 0) throw new Error(`create failed: ${created.stdout} ${created.stderr}`);
    await until(
      () => status(terminal),
      (seen) => seen.state === 'healthy',
      20_000,
    );
    watchers.push(startWatcher(sandbox));
    return rig;
  } catch (error) {
    await rig.down();
    throw error;
  }
}
