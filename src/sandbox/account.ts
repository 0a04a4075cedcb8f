/** Under whom PostgreSQL runs, and where that account may read and write. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { cacheDir, stateDir } from '../config/paths.js';
import { EXIT, RepctlError } from '../errors.js';
import type { Account } from './model.js';

type Env = Readonly<Record<string, string | undefined>>;

/** The first of `postgres` and `nobody` in the text of /etc/passwd; root itself never counts. */
export function usableAccount(passwd: string): Account | undefined {
  const entries = passwd.split('\n').map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const entry = entries.find(([name]) => name === wanted);
    const [uid, gid] = [Number(entry?.[2]), Number(entry?.[3])];
    if (entry && Number.isInteger(uid) && Number.isInteger(gid) && uid > 0) return { name: wanted, uid, gid };
  }
  return undefined;
}

/**
 * null for an ordinary user, who runs the servers as himself. Root gets another account, since PostgreSQL
 * refuses to run as root. Throws RepctlError `no-account` (exit 6) where there is none.
 */
export async function serverAccount(passwdFile = '/etc/passwd'): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  const account = usableAccount(await readFile(passwdFile, 'utf8').catch(() => ''));
  if (account) return account;
  throw new RepctlError(
    'no-account',
    'PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it under.',
    {
      exit: EXIT.refused,
      hint: 'Run repctl as an ordinary user, or make an account: useradd --system postgres',
    },
  );
}

/**
 * The sandbox's directory unless told otherwise. Root's home is closed to the servers' account, hence
 * /var/lib; a state directory of its own still means a sandbox of its own.
 */
export function defaultDirectory(account: Account | null, env: Env = process.env, name = 'sandbox'): string {
  if (account === null) return path.join(stateDir(env), name);
  const own = env['XDG_STATE_HOME'];
  const suffix =
    own === undefined || own === '' ? '' : `-${createHash('sha256').update(own).digest('hex').slice(0, 8)}`;
  return `/var/lib/repctl/${name}${suffix}`;
}

/** Where binaries are kept that could not be used where npm put them. */
export function binaryCache(account: Account | null, env: Env = process.env): string {
  return account === null ? path.join(cacheDir(env), 'postgres') : '/var/cache/repctl/postgres';
}

/** The directory for a new sandbox: the one asked for, or the default of this user; `name` tells drills' from people's. */
export async function sandboxDirectory(asked?: string, name?: string): Promise<string> {
  return asked === undefined
    ? defaultDirectory(await serverAccount(), process.env, name)
    : path.resolve(asked);
}
