/** Where repctl keeps things outside the project: XDG directories, made 0700 when first written. */
import { homedir } from 'node:os';
import path from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

const xdg = (env: Env, name: string, fallback: string): string => {
  const value = env[name];
  // The XDG specification tells readers to ignore relative paths.
  const base =
    value !== undefined && path.isAbsolute(value) ? value : path.join(env['HOME'] ?? homedir(), fallback);
  return path.join(base, 'repctl');
};

/** Configuration: `$XDG_CONFIG_HOME/repctl`. */
export const configDir = (env: Env = process.env): string => xdg(env, 'XDG_CONFIG_HOME', '.config');

/** State that outlives a run (sessions, audit, current sandbox): `$XDG_STATE_HOME/repctl`. */
export const stateDir = (env: Env = process.env): string => xdg(env, 'XDG_STATE_HOME', '.local/state');

/** What can be made again (unpacked binaries): `$XDG_CACHE_HOME/repctl`. */
export const cacheDir = (env: Env = process.env): string => xdg(env, 'XDG_CACHE_HOME', '.cache');
