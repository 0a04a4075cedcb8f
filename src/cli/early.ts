/**
 * What most commands begin with, begun before the command line is understood. Until oclif and a command are loaded some
 * 150 ms pass, in which one core is busy here and none at the servers; and the first look at a server costs it four
 * times what the later ones do, since a new backend knows no catalog yet. So the sessions of the run are opened and asked
 * once meanwhile. Nothing is concluded from the answer: the lock is taken, and the look that counts is had, afterwards.
 */
import { parseArgs } from 'node:util';
import { assertDirectHost } from '../config/connection.js';
import { loadConfig } from '../config/load.js';
import type { ClusterConfig } from '../config/schema.js';
import { type Fleet, openFleet } from '../cluster/fleet.js';
import { observe } from '../cluster/observe.js';

interface Early {
  /** The value of --config. */
  readonly file: string | undefined;
  readonly config: ClusterConfig;
  /** Its sessions are those that a command would open without --timeout and --verbose. */
  fleet: Fleet | undefined;
}

let early: Early | undefined;

/** Whatever is wrong is told by the command, which does all this again where it was not done. */
export function lookAhead(argv: readonly string[]): void {
  try {
    const { values } = parseArgs({
      args: argv.slice(1),
      strict: false,
      options: {
        config: { type: 'string', short: 'c' },
        timeout: { type: 'string' },
        verbose: { type: 'boolean', short: 'v' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (process.env['REPCTL_TIMEOUT'] !== undefined) return;
    if (['timeout', 'verbose', 'help'].some((name) => values[name] !== undefined)) return;
    const file = typeof values.config === 'string' ? values.config : undefined;
    const config = loadConfig({ file });
    config.nodes.forEach(assertDirectHost);
    const fleet = openFleet(config, { applicationName: 'repctl', commitsLocally: true });
    early = { file, config, fleet };
    void observe(fleet);
  } catch {
    // Unreadable, incomplete, pooled: see above.
  }
}

/** The configuration, where it has been read already. */
export const configRead = (file: string | undefined): ClusterConfig | undefined =>
  early?.file === file ? early?.config : undefined;

/** The sessions that were opened for this very configuration; whoever takes them closes them. */
export function takeFleet(config: ClusterConfig): Fleet | undefined {
  if (early?.config !== config) return undefined;
  const { fleet } = early;
  early.fleet = undefined;
  return fleet;
}

/** Sessions that nobody took: a command line that was refused. */
export async function closeUntaken(): Promise<void> {
  await early?.fleet?.close();
}
