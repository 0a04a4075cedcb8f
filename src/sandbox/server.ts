/** One PostgreSQL server: made, started, stopped, killed, frozen. Its state is read from the processes. */
import { appendFile, chown, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, RepctlError } from '../errors.js';
import type { Account, NodeProcessState, SandboxNode } from './model.js';
import { type ProcessInfo, processes, run, signalProcess, waitGone } from './process.js';
import { PG_HBA, type ServerSettings, initdbArguments, serverConf } from './settings.js';

export interface Host {
  readonly account: Account | null;
  readonly signal?: AbortSignal | undefined;
}

/** Makes a data directory. Throws `disk-full`, `initdb-failed`. */
export async function initialise(
  node: SandboxNode,
  request: { superuser: string; passwordFile: string },
  host: Host,
): Promise<void> {
  const { code, stderr, stdout } = await run(
    path.join(node.binDirectory, 'initdb'),
    initdbArguments(node.major, node.dataDirectory, request.passwordFile, request.superuser),
    { account: host.account, cwd: path.dirname(node.dataDirectory), signal: host.signal },
  );
  if (code !== 0) throw programFailed('initdb-failed', 'initdb', node, stderr || stdout);
}

/** A program's complaint as an error: a full disk and a closed directory are told apart, since both can be helped. */
export function programFailed(
  code: string,
  program: string,
  node: { name: string; dataDirectory: string },
  output: string,
): RepctlError {
  const text =
    output
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /error|fatal|panic|could not|cannot|no space/i.test(line))
      .slice(-4)
      .join('; ') || output.trim().split('\n').slice(-3).join('; ');
  const details = { node: node.name, directory: node.dataDirectory };
  if (/No space left on device|Disk quota exceeded/i.test(output))
    return new RepctlError('disk-full', `${node.name}: the disk is full: ${text}`, {
      exit: EXIT.refused,
      hint: 'Free some space (about 80 MB a node), or choose another place with --dir.',
      details,
    });
  if (/Permission denied|Read-only file system/i.test(output))
    return new RepctlError('directory-unwritable', `${node.name}: the directory cannot be used: ${text}`, {
      exit: EXIT.refused,
      hint: 'Choose another place with --dir.',
      details,
    });
  return new RepctlError(code, `${node.name}: ${program} failed: ${text}`, {
    exit: EXIT.refused,
    hint: 'repctl sandbox logs shows the server log while the sandbox is there.',
    details,
  });
}

const confFile = (node: SandboxNode): string => path.join(node.dataDirectory, 'sandbox.conf');

/** Writes the configuration into a fresh data directory. */
export async function configure(node: SandboxNode, settings: ServerSettings, host: Host): Promise<void> {
  await writeFile(confFile(node), serverConf(settings), { mode: 0o600 });
  if (host.account) await chown(confFile(node), host.account.uid, host.account.gid);
  await appendFile(path.join(node.dataDirectory, 'postgresql.conf'), "\ninclude 'sandbox.conf'\n");
  await writeFile(path.join(node.dataDirectory, 'pg_hba.conf'), PG_HBA);
}

/**
 * Starts the server through pg_ctl, which makes it a daemon that outlives repctl; returns when it accepts
 * connections. Throws `port-taken`, `disk-full`, `server-start-failed` with the end of its log.
 */
export async function startServer(node: SandboxNode, host: Host): Promise<void> {
  await removeDeadLock(node);
  const logged = await readFile(node.logFile, 'utf8').catch(() => '');
  const { code, stderr } = await run(
    path.join(node.binDirectory, 'pg_ctl'),
    ['start', '-s', '-w', '-t', '60', '-D', node.dataDirectory, '-l', node.logFile],
    { account: host.account, cwd: path.dirname(node.dataDirectory), signal: host.signal },
  );
  if (code === 0) return;
  const log = (await readFile(node.logFile, 'utf8').catch(() => '')).slice(logged.length);
  if (/Address already in use/i.test(log))
    throw new RepctlError('port-taken', `${node.name}: port ${String(node.port)} is in use.`, {
      exit: EXIT.refused,
      hint: 'Choose other ports with --base-port.',
      details: { node: node.name, port: node.port },
    });
  throw programFailed('server-start-failed', 'pg_ctl start', node, `${stderr}\n${log}`);
}

/**
 * A killed postmaster that init has not collected yet (a zombie; in some containers for seconds or for ever)
 * still answers kill(pid, 0), by which PostgreSQL takes its lock file for one in use and refuses to start.
 * The process is dead, so the lock file may go; its memory segment is found again by its key and reused.
 */
async function removeDeadLock(node: SandboxNode): Promise<void> {
  const pid = await lockedPid(node);
  if (pid === undefined) return;
  if ((await processes()).some((one) => one.pid === pid && one.zombie))
    await rm(path.join(node.dataDirectory, 'postmaster.pid'), { force: true });
}

/** Shuts the server down; `fast` ends sessions and writes a checkpoint. A frozen one is woken first. */
export async function stopServer(
  node: SandboxNode,
  host: Host,
  mode: 'fast' | 'immediate' = 'fast',
): Promise<void> {
  const found = await serverProcesses(node);
  if (!found) return;
  if (found.all.some((one) => one.stopped)) for (const one of found.all) signalProcess(one.pid, 'SIGCONT');
  const { code, stderr } = await run(
    path.join(node.binDirectory, 'pg_ctl'),
    ['stop', '-s', '-w', '-t', '60', '-m', mode, '-D', node.dataDirectory],
    { account: host.account, cwd: path.dirname(node.dataDirectory), signal: host.signal },
  );
  if (code !== 0 && (await serverProcesses(node)))
    throw programFailed('server-stop-failed', 'pg_ctl stop', node, stderr);
}

interface ServerProcesses {
  readonly postmaster: ProcessInfo;
  readonly all: readonly ProcessInfo[];
}

/** The postmaster's pid as its lock file has it; undefined when the server was shut down properly. */
async function lockedPid(node: SandboxNode): Promise<number | undefined> {
  const text = await readFile(path.join(node.dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/** The server's living processes. The data directory on the command line proves that the pid was not reused. */
export async function serverProcesses(node: SandboxNode): Promise<ServerProcesses | undefined> {
  const pid = await lockedPid(node);
  if (pid === undefined) return undefined;
  const running = await processes();
  const postmaster = running.find(
    (one) => one.pid === pid && !one.zombie && one.command.includes(node.dataDirectory),
  );
  if (!postmaster) return undefined;
  return { postmaster, all: [postmaster, ...running.filter((one) => one.parent === pid && !one.zombie)] };
}

export async function serverState(node: SandboxNode): Promise<NodeProcessState> {
  const found = await serverProcesses(node);
  if (found) return found.postmaster.stopped ? 'paused' : 'running';
  return (await lockedPid(node)) === undefined ? 'stopped' : 'crashed';
}

/** SIGKILL of the postmaster and all its children, as the kernel's out-of-memory killer or a power cut would. */
export async function killServer(node: SandboxNode): Promise<number> {
  const first = await serverProcesses(node);
  if (!first) return 0;
  // Frozen first, so that it neither forks nor restarts anything between the listing and the killing.
  signalProcess(first.postmaster.pid, 'SIGSTOP');
  const { all } = (await serverProcesses(node)) ?? first;
  for (const one of all) signalProcess(one.pid, 'SIGKILL');
  await waitGone(all.map((one) => one.pid));
  return all.length;
}

/** SIGSTOP of every process: the server hangs, its connections stay open and silent. Returns how many. */
export async function pauseServer(node: SandboxNode): Promise<number> {
  const first = await serverProcesses(node);
  if (!first) return 0;
  signalProcess(first.postmaster.pid, 'SIGSTOP');
  const { all } = (await serverProcesses(node)) ?? first;
  for (const one of all) signalProcess(one.pid, 'SIGSTOP');
  await frozen(node, true);
  return all.length;
}

/** On a busy machine a signal takes effect some time after kill() has returned. */
async function frozen(node: SandboxNode, wanted: boolean): Promise<void> {
  const deadline = Date.now() + 2000;
  while (Date.now() < deadline) {
    const found = await serverProcesses(node);
    if (!found || found.all.every((one) => one.stopped === wanted)) return;
    await delay(5);
  }
}

/** SIGCONT of every process, children first. Returns how many. */
export async function resumeServer(node: SandboxNode): Promise<number> {
  const found = await serverProcesses(node);
  if (!found) return 0;
  for (const one of found.all.toReversed()) signalProcess(one.pid, 'SIGCONT');
  await frozen(node, false);
  return found.all.length;
}

/**
 * A killed server leaves its System V segment (the lock that keeps two postmasters off one directory); the
 * next start would reuse it, but a sandbox that is removed has no next start. Its id is line 7 of the lock file.
 */
export async function removeSharedMemory(node: SandboxNode): Promise<void> {
  const text = await readFile(path.join(node.dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '');
  const id = text.split('\n')[6]?.trim().split(/\s+/)[1];
  if (id === undefined || !/^\d+$/.test(id)) return;
  // Best effort: ipcrm is in Debian's and macOS's base; the segment is 56 bytes.
  await run('ipcrm', ['-m', id], { account: null, cwd: '/' }).catch(() => undefined);
}
