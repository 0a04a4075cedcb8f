/** Starts a sandbox: directories, servers, roles, proxy. All or nothing. */
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { connectionOf } from '../config/connection.js';
import { EXIT, RepctlError } from '../errors.js';
import { ident, literal } from '../postgres/quote.js';
import { type Session, openSession } from '../postgres/session.js';
import { binaryCache, serverAccount } from './account.js';
import { type Binaries, findBinaries } from './binaries.js';
import { mountDisk } from './disk.js';
import { prepareDirectory, removeDirectory } from './directory.js';
import { downSandbox } from './down.js';
import {
  type Account,
  DATABASE,
  EVERYDAY_ROLE,
  type ProxyRoute,
  SUPERUSER,
  type Sandbox,
  type SandboxNode,
} from './model.js';
import { DEFAULT_BASE_PORT, freePorts } from './ports.js';
import { run } from './process.js';
import { startProxy } from './proxy-control.js';
import { type Host, configure, initialise, programFailed, startServer } from './server.js';
import { claimState, readState, sandboxExists, writeState } from './state.js';

export type Phase = 'binaries' | 'initdb' | 'start' | 'roles' | 'proxy';

export interface SandboxOptions {
  directory: string;
  nodes: number;
  /** Majors, dealt out in turn: ['15', '18'] with 4 nodes gives 15, 18, 15, 18. Default: those of `pgBin`, or 18. */
  pg?: readonly string[];
  /** Directories of programs that are preferred to npm's. */
  pgBin?: readonly string[];
  basePort?: number;
  /** Copies of one data directory, as restored backups are: one system identifier for all. */
  twins?: boolean;
  /** A TCP proxy in front of each link between nodes and in front of each node's clients. */
  proxy?: boolean;
  cluster?: string;
  /** Each node's data on a disk of its own of so many megabytes (Linux, root): one that can be filled. Not for twins. */
  diskMegabytes?: number | undefined;
  /** Server settings for every node, over the sandbox's own. */
  settings?: Readonly<Record<string, string>>;
  cache?: string;
  signal?: AbortSignal | undefined;
  onPhase?: ((phase: Phase, ms: number) => void) | undefined;
  notice?: ((text: string) => void) | undefined;
}

/**
 * Starts bare servers with database, roles and, if asked for, the proxy. When anything fails or `signal` is
 * aborted, everything started is ended and removed. Throws RepctlError: `sandbox-exists` (exit 6) and what
 * the parts throw; `interrupted` (exit 130).
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  // Between looking for a free port and listening on it another program may take it.
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (!(error instanceof RepctlError && error.code === 'port-taken') || attempt === 3) throw error;
      options.notice?.(`${error.message} Trying other ports.`);
    }
  }
}

async function startOnce(options: SandboxOptions): Promise<Sandbox> {
  const directory = path.resolve(options.directory);
  if (!Number.isInteger(options.nodes) || options.nodes < 1 || options.nodes > 26)
    throw new RepctlError('usage', 'A sandbox has 1 to 26 nodes.', { hint: 'repctl sandbox up --nodes 4' });
  if (await readState(directory)) throw sandboxExists(directory);
  const account = await serverAccount();
  const host: Host = { account, signal: options.signal };
  const timed = async <T>(phase: Phase, body: () => Promise<T>): Promise<T> => {
    options.signal?.throwIfAborted();
    const start = performance.now();
    const value = await body();
    options.onPhase?.(phase, performance.now() - start);
    return value;
  };
  let plan: Sandbox | undefined;
  try {
    const binaries = await timed('binaries', () =>
      findBinaries(options.pg, {
        account,
        cache: options.cache ?? binaryCache(account),
        binDirectories: options.pgBin ?? [],
        signal: options.signal,
        notice: options.notice,
      }),
    );
    const { created } = await prepareDirectory(directory, options.nodes, account);
    try {
      const claim = await planned(directory, created, options, account, binaries);
      await claimState(claim);
      plan = claim;
    } catch (error) {
      // Not ours when another run claimed it first.
      if (!(error instanceof RepctlError && error.code === 'sandbox-exists'))
        await removeDirectory(directory, created);
      throw error;
    }
    const secrets = secretsOf(plan);
    const { nodes } = plan;
    await timed('initdb', () => makeDataDirectories(nodes, secrets, options, host));
    await timed('start', () => settle(nodes.map((node) => startServer(node, host))));
    await timed('roles', () => settle(nodes.map((node) => makeRoles(node, secrets.everyday))));
    let up: Sandbox = { ...plan, phase: 'up' };
    if (plan.proxy) up = { ...up, proxy: await timed('proxy', () => startProxy(up)) };
    await writeState(up);
    return up;
  } catch (error) {
    if (plan) await downSandbox(plan);
    if (options.signal?.aborted)
      throw new RepctlError('interrupted', 'Interrupted: what was started is stopped and removed.', {
        exit: EXIT.interrupted,
        cause: error,
      });
    throw error;
  }
}

/** As Promise.all, but waits for all to end first, so that nothing is still being written while cleaning up. */
async function settle(promises: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}

interface Secrets {
  readonly everyday: string;
  readonly superuser: string;
}

const passwordIn = (url: string): string => decodeURIComponent(new URL(url).password);

const secretsOf = (sandbox: Sandbox): Secrets => ({
  everyday: passwordIn(sandbox.nodes[0]?.directUrl ?? ''),
  superuser: passwordIn(sandbox.nodes[0]?.superuserUrl ?? ''),
});

/** Names, ports, paths and passwords of everything that will be started. */
async function planned(
  directory: string,
  createdDirectory: boolean,
  options: SandboxOptions,
  account: Account | null,
  binaries: ReadonlyMap<string, Binaries>,
): Promise<Sandbox> {
  const names = Array.from({ length: options.nodes }, (_, index) => `n${String(index + 1)}`);
  const links = options.proxy
    ? names.flatMap((to) => names.filter((from) => from !== to).map((from) => ({ from, to })))
    : [];
  const entrances = options.proxy ? names.map((to) => ({ from: 'clients', to })) : [];
  const count = names.length + entrances.length + links.length + (options.proxy ? 1 : 0);
  const ports = await freePorts(options.basePort ?? DEFAULT_BASE_PORT, count);
  const take = (): number => ports.shift() ?? 0;
  // The clients' ports come first: they are the ones a person types.
  const entrancePorts = entrances.map(take);
  const serverPorts = new Map(names.map((name) => [name, take()]));
  const target = (to: string): number => serverPorts.get(to) ?? 0;
  const routes: ProxyRoute[] = [
    ...entrances.map((route, index) => ({
      ...route,
      listen: entrancePorts[index] ?? 0,
      target: target(route.to),
    })),
    ...links.map((route) => ({ ...route, listen: take(), target: target(route.to) })),
  ];
  const secrets = {
    everyday: randomBytes(18).toString('base64url'),
    superuser: randomBytes(18).toString('base64url'),
  };
  const url = (role: string, password: string, port: number): string =>
    `postgres://${role}:${password}@127.0.0.1:${String(port)}/${DATABASE}`;
  const majors = options.pg ?? [...binaries.keys()];
  const nodes = names.map((name, index): SandboxNode => {
    const found = binaries.get(majors[index % majors.length] ?? '');
    if (!found) throw new RepctlError('binary-missing', `${name}: no programs were found.`);
    const port = target(name);
    const everyday = (listen: number): string => url(EVERYDAY_ROLE, secrets.everyday, listen);
    const through = (from: string): number =>
      routes.find((route) => route.from === from && route.to === name)?.listen ?? port;
    return {
      name,
      version: found.version,
      major: found.major,
      binDirectory: found.binDirectory,
      port,
      url: everyday(through('clients')),
      directUrl: everyday(port),
      superuserUrl: url(SUPERUSER, secrets.superuser, port),
      replicationUrlFrom: Object.fromEntries(
        names.filter((from) => from !== name).map((from) => [from, everyday(through(from))]),
      ),
      dataDirectory: path.join(directory, name, 'data'),
      logFile: path.join(directory, name, 'postgres.log'),
    };
  });
  return {
    format: 1,
    phase: 'starting',
    directory,
    createdDirectory,
    cluster: options.cluster ?? DATABASE,
    startedAt: new Date().toISOString(),
    starterPid: process.pid,
    account,
    nodes,
    proxy: options.proxy
      ? { pid: 0, controlPort: take(), secret: randomBytes(18).toString('base64url'), routes }
      : null,
  };
}

async function makeDataDirectories(
  nodes: readonly SandboxNode[],
  secrets: Secrets,
  options: SandboxOptions,
  host: Host,
): Promise<void> {
  const owned = async (file: string): Promise<void> => {
    if (host.account) await chown(file, host.account.uid, host.account.gid);
  };
  const first = nodes[0];
  if (!first) return;
  for (const node of nodes) {
    const directory = path.dirname(node.dataDirectory);
    await mkdir(directory, { mode: 0o700 });
    await owned(directory);
    if (options.diskMegabytes !== undefined) {
      await mkdir(node.dataDirectory, { mode: 0o700 });
      await mountDisk(node.dataDirectory, options.diskMegabytes, host.account);
    }
  }
  const passwordFile = path.join(path.dirname(path.dirname(first.dataDirectory)), 'initdb.password');
  await writeFile(passwordFile, `${secrets.superuser}\n`, { mode: 0o600 });
  await owned(passwordFile);
  try {
    const request = { superuser: SUPERUSER, passwordFile };
    const made = options.twins ? [first] : nodes;
    await settle(made.map((node) => initialise(node, request, host)));
    if (options.twins) await settle(nodes.slice(1).map((node) => copyDataDirectory(first, node, host)));
  } finally {
    await rm(passwordFile, { force: true });
  }
  for (const node of nodes) {
    await configure(
      node,
      { port: node.port, major: node.major, ...(options.settings ? { extra: options.settings } : {}) },
      host,
    );
    await chmod(node.dataDirectory, 0o700);
  }
}

async function copyDataDirectory(from: SandboxNode, to: SandboxNode, host: Host): Promise<void> {
  if (from.major !== to.major)
    throw new RepctlError('usage', 'Twins are copies of one data directory and so of one major version.', {
      hint: 'Give --twins with a single --pg.',
    });
  const cwd = path.dirname(to.dataDirectory);
  const { code, stderr } = await run('cp', ['-R', '-p', from.dataDirectory, to.dataDirectory], {
    ...host,
    cwd,
  });
  if (code !== 0) throw programFailed('copy-failed', 'cp', to, stderr);
}

/** A session of the sandbox's superuser. */
export function superuserSession(node: SandboxNode, database = DATABASE): Promise<Session> {
  return openSession({
    node: node.name,
    connection: { ...connectionOf(node.superuserUrl), database },
    applicationName: 'repctl sandbox',
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 60_000,
  });
}

/**
 * The everyday role and its database. Before 16 only a superuser may create a subscription; from 16 on
 * pg_create_subscription is enough, and the role is no superuser.
 */
async function makeRoles(node: SandboxNode, password: string): Promise<void> {
  const role = ident(EVERYDAY_ROLE);
  const old = Number(node.major) < 16;
  const admin = await superuserSession(node, 'postgres');
  try {
    await admin.simple(
      `create role ${role} with login replication ${old ? 'superuser' : 'nosuperuser'} password ${literal(password)}`,
    );
    await admin.simple(`grant pg_monitor to ${role}`);
    if (!old) {
      await admin.simple(`grant pg_create_subscription to ${role}`);
      await admin.simple(`grant alter system on parameter synchronous_standby_names to ${role}`);
    }
    await admin.simple(`create database ${ident(DATABASE)} owner ${role}`);
  } finally {
    await admin.close();
  }
  const shop = await superuserSession(node);
  try {
    // Denied even to pg_monitor by default; granted per database.
    await shop.simple(`grant execute on function pg_catalog.pg_show_replication_origin_status() to ${role}`);
    await shop.simple(`grant execute on function pg_catalog.pg_reload_conf() to ${role}`);
  } finally {
    await shop.close();
  }
}
