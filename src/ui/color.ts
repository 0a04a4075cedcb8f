/** One place decides whether and how much colour is used: chalk 5 alone does not honour NO_COLOR. */
import { Chalk, type ChalkInstance } from 'chalk';

export interface ColorRequest {
  /** --no-color was given. */
  off: boolean;
  isTTY: boolean;
  env: Readonly<Record<string, string | undefined>>;
  /** What the terminal can do, as chalk found out. */
  level: 0 | 1 | 2 | 3;
}

/** NO_COLOR (any non-empty value), TERM=dumb, --no-color and pipes turn colour off; FORCE_COLOR turns it on in a pipe. */
export function colorLevel({ off, isTTY, env, level }: ColorRequest): 0 | 1 | 2 | 3 {
  if (off || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return 0;
  const force = env['FORCE_COLOR'];
  if (force !== undefined && force !== '')
    return force === '0' || force === 'false' ? 0 : level === 0 ? 1 : level;
  return isTTY ? level : 0;
}

export type Colors = ChalkInstance;

/** A chalk of exactly this level. */
export const colors = (level: 0 | 1 | 2 | 3): Colors => new Chalk({ level });

/** How pure renderers are told what they may do. */
export interface Style {
  readonly c: Colors;
  /** Columns available. */
  readonly width: number;
}

/** For pipes and tests: no colour, 80 columns unless told. */
export const plainStyle = (width = 80): Style => ({ c: colors(0), width });
