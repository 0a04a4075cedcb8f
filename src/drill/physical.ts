/** Physical standbys of the same servers: the yardstick for logical replication. */
import { chown, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RepctlError } from '../errors.js';
import { literal } from '../postgres/quote.js';
import { run } from '../sandbox/process.js';
import { type Sandbox, type SandboxNode, startNode, stopNode, superuserSession } from '../sandbox/sandbox.js';
import { serverConf } from '../sandbox/settings.js';

const PATIENCE_MS = 30_000;

/**
 * Makes all nodes but the first standbys of it that stream its WAL through their links. They become copies of its data
 * directory, made while it is down: pg_basebackup does not come along. Throws `drill-failed`.
 */
export async function followPhysically(
  sandbox: Sandbox,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const [leader, ...standbys] = sandbox.nodes;
  if (leader === undefined) return;
  await Promise.all(sandbox.nodes.map((node) => stopNode(sandbox, node.name)));
  for (const node of standbys) await becomeStandby(sandbox, leader, node, settings);
  await startNode(sandbox, leader.name);
  await Promise.all(standbys.map((node) => startNode(sandbox, node.name)));
  await allStream(leader, standbys.length);
}

async function becomeStandby(
  { account }: Sandbox,
  leader: SandboxNode,
  node: SandboxNode,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  await rm(node.dataDirectory, { recursive: true, force: true });
  const { code, stderr } = await run('cp', ['-R', '-p', leader.dataDirectory, node.dataDirectory], {
    account,
    cwd: path.dirname(node.dataDirectory),
  });
  if (code !== 0)
    throw new RepctlError('drill-failed', `${node.name} is no copy of ${leader.name}: ${stderr}`);
  const url = leader.replicationUrlFrom[node.name] ?? leader.directUrl;
  const files = {
    'sandbox.conf': `${serverConf({ port: node.port, major: node.major, extra: settings })}primary_conninfo = ${literal(url)}\n`,
    'standby.signal': '',
  };
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(node.dataDirectory, name);
    await writeFile(file, text, { mode: 0o600 });
    if (account) await chown(file, account.uid, account.gid);
  }
}

async function allStream(leader: SandboxNode, wanted: number): Promise<void> {
  const session = await superuserSession(leader);
  try {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const [row] = await session.query<{ streaming: number }>(
        `select count(*)::int as streaming from pg_stat_replication where state = 'streaming'`,
      );
      if (row?.streaming === wanted) return;
      if (Date.now() > deadline)
        throw new RepctlError(
          'drill-failed',
          `Only ${String(row?.streaming)} of ${String(wanted)} standbys stream after ${String(PATIENCE_MS / 1000)} s.`,
        );
      await delay(50);
    }
  } finally {
    await session.close();
  }
}
