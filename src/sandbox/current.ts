/**
 * The current sandbox: which one the commands mean that name none. Two files in the state directory: a pointer
 * to the sandbox's directory, and sandbox.yaml, the configuration that commands without one find.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { sandboxConfigPath } from '../config/load.js';
import { stateDir } from '../config/paths.js';
import { RepctlError } from '../errors.js';
import type { Sandbox } from './model.js';
import { toFileConfig } from './sandbox.js';
import { readState } from './state.js';

type Env = Readonly<Record<string, string | undefined>>;

const pointerFile = (env: Env): string => path.join(stateDir(env), 'sandbox-directory');

/** Writes down where a sandbox is about to be, before it is: an interrupted start is then found again. */
export async function pointTo(directory: string, env: Env = process.env): Promise<void> {
  await mkdir(stateDir(env), { recursive: true, mode: 0o700 });
  await writeFile(pointerFile(env), `${directory}\n`, { mode: 0o600 });
}

/** Writes the configuration that commands without one find (0600: it holds passwords). */
export async function rememberConfig(sandbox: Sandbox, env: Env = process.env): Promise<void> {
  const { nodes, cluster, tables } = toFileConfig(sandbox);
  const text = `# Written by repctl sandbox up; repctl sandbox down removes it.\n${stringify({ cluster, tables, nodes })}`;
  await writeFile(sandboxConfigPath(env), text, { mode: 0o600 });
}

/** Forgets the current sandbox, if it is the one in `directory`. */
export async function forget(directory: string, env: Env = process.env): Promise<void> {
  if ((await currentDirectory(env)) !== directory) return;
  await rm(sandboxConfigPath(env), { force: true });
  await rm(pointerFile(env), { force: true });
}

export async function currentDirectory(env: Env = process.env): Promise<string | undefined> {
  const text = await readFile(pointerFile(env), 'utf8').catch(() => '');
  return text.trim() === '' ? undefined : text.trim();
}

/** The sandbox in `directory`, or the current one. undefined when there is none. */
export async function findSandbox(directory?: string, env: Env = process.env): Promise<Sandbox | undefined> {
  const where = directory === undefined ? await currentDirectory(env) : path.resolve(directory);
  return where === undefined ? undefined : readState(where);
}

/** As findSandbox. Throws RepctlError `no-sandbox` (exit 2) when there is none. */
export async function requireSandbox(directory?: string, env: Env = process.env): Promise<Sandbox> {
  const sandbox = await findSandbox(directory, env);
  if (sandbox) return sandbox;
  throw new RepctlError('no-sandbox', 'No sandbox is up.', { hint: 'repctl sandbox up starts one.' });
}
