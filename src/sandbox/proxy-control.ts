/** Starts, stops and commands the proxy process. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import type { ProxyInfo, Sandbox } from './model.js';
import { processes, signalProcess, waitGone } from './process.js';
import type { ProxyCommand } from './proxy-main.js';
import type { Passage, RouteStatus } from './relay.js';

/** dist/sandbox/proxy-main.js, wherever this module was bundled to. Throws `proxy-missing` before a build. */
function proxyProgram(): string {
  let directory = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(directory, 'package.json'))) directory = path.dirname(directory);
  const program = path.join(directory, 'dist/sandbox/proxy-main.js');
  if (existsSync(program)) return program;
  throw new RepctlError('proxy-missing', `${program} is not there.`, { hint: 'npm run build' });
}

/** Starts the process that listens on the sandbox's routes. Returns its ProxyInfo with the pid. */
export async function startProxy(sandbox: Sandbox): Promise<ProxyInfo> {
  const info = sandbox.proxy;
  if (!info) throw new RepctlError('proxy-off', 'This sandbox was started without the proxy.');
  const log = await open(path.join(sandbox.directory, 'proxy.log'), 'a', 0o600);
  try {
    // The directory on the command line tells its own process from another sandbox's.
    const child = spawn(process.execPath, [proxyProgram(), sandbox.directory], {
      detached: true,
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '' },
      stdio: ['pipe', 'pipe', log.fd],
    }) as ChildProcessByStdio<Writable, Readable, null>;
    const answer = new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => {
        resolve(`it ended with ${String(code)}`);
      });
      child.stdout.once('data', (chunk: Buffer) => {
        resolve(chunk.toString().trim());
      });
    });
    child.stdin.end(JSON.stringify(info));
    const said = await answer;
    child.stdout.destroy();
    child.unref();
    if (said === 'ready' && child.pid !== undefined) return { ...info, pid: child.pid };
    throw new RepctlError(
      said.includes('EADDRINUSE') ? 'port-taken' : 'proxy-failed',
      `The sandbox's proxy did not start: ${said}`,
      { exit: EXIT.refused, hint: 'Choose other ports with --base-port, or do without it: --no-proxy' },
    );
  } finally {
    await log.close();
  }
}

/** The proxy's process, found by its command line: the pid may not have been written down yet. */
async function proxyPids(sandbox: Sandbox): Promise<number[]> {
  const ending = `proxy-main.js ${sandbox.directory}`;
  return (await processes())
    .filter((one) => !one.zombie && one.command.endsWith(ending))
    .map((one) => one.pid);
}

export const proxyRuns = async (sandbox: Sandbox): Promise<boolean> => (await proxyPids(sandbox)).length > 0;

/** Ends the process; it keeps nothing that would have to be written. */
export async function stopProxy(sandbox: Sandbox): Promise<void> {
  if (!sandbox.proxy) return;
  const pids = await proxyPids(sandbox);
  for (const pid of pids) signalProcess(pid, 'SIGKILL');
  await waitGone(pids);
}

/** The state of every route. Throws `proxy-off`, `proxy-unreachable`. */
export const proxyStatus = (sandbox: Sandbox): Promise<RouteStatus[]> => ask(sandbox, { action: 'status' });

/** Opens or cuts the given routes (`from>to`). Returns the state of every route. */
export const setRoutes = (
  sandbox: Sandbox,
  passage: Passage,
  routes: readonly string[],
): Promise<RouteStatus[]> => ask(sandbox, { action: 'set', passage, routes });

/** Makes the given routes slow by so many milliseconds each way; 0 makes them quick. Returns the state of every route. */
export const delayRoutes = (
  sandbox: Sandbox,
  ms: number,
  routes: readonly string[],
): Promise<RouteStatus[]> => ask(sandbox, { action: 'delay', ms, routes });

function ask(sandbox: Sandbox, command: ProxyCommand): Promise<RouteStatus[]> {
  const { proxy } = sandbox;
  if (!proxy)
    return Promise.reject(
      new RepctlError('proxy-off', 'This sandbox was started without the proxy: its links cannot be cut.', {
        exit: EXIT.refused,
        hint: 'repctl sandbox down, then repctl sandbox up without --no-proxy',
      }),
    );
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => {
      reject(
        new RepctlError('proxy-unreachable', `The sandbox's proxy does not answer: ${why}`, {
          exit: EXIT.unreachable,
          hint: 'repctl sandbox start restarts it.',
          cause,
        }),
      );
    };
    const socket = connect({ host: '127.0.0.1', port: proxy.controlPort });
    let text = '';
    socket.setTimeout(5000, () => {
      socket.destroy();
      fail('no answer for 5 s');
    });
    socket.on('error', (error) => {
      fail(messageOf(error), error);
    });
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('end', () => {
      const answer = JSON.parse(text) as { routes?: RouteStatus[]; error?: string };
      if (answer.routes) resolve(answer.routes);
      else fail(answer.error ?? 'an empty answer');
    });
    socket.write(`${JSON.stringify({ ...command, secret: proxy.secret })}\n`);
  });
}
