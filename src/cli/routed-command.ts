/** What commands share that read from replicas and write to the leader: session, level, node, patience. */
import { type Command, Flags } from '@oclif/core';
import { stateDir } from '../config/paths.js';
import type { ClusterConfig } from '../config/schema.js';
import { READ_LEVELS, type ReadLevel } from '../routing/route.js';
import { checkSessionName, openStore } from '../routing/store.js';
import type { Routing } from '../routing/write.js';
import { BaseCommand } from './base-command.js';
import { parseDuration } from './duration.js';

/** A lagging replica is waited for this long before the leader serves. */
const READ_PATIENCE_MS = 1000;
/** A leader that is being changed, or that went away in the middle of a write, is waited for this long. */
const WRITE_PATIENCE_MS = 5000;

export const sessionFlag = {
  session: Flags.string({
    summary: 'Session whose own writes and earlier reads are never missed.',
    helpValue: 'NAME',
    default: 'default',
    env: 'REPCTL_SESSION',
  }),
};

export const readFlags = {
  ...sessionFlag,
  level: Flags.option({
    summary: 'How fresh the answer must be.',
    description:
      'eventual: any replica. monotonic: never older than what this session read. read-your-writes: with all that this session wrote. session: both. strong: the leader.',
    options: READ_LEVELS,
    default: 'session' as ReadLevel,
  })(),
  node: Flags.string({ char: 'n', summary: 'Read from this node, whatever it is.', helpValue: 'NODE' }),
};

export const writeFlags = {
  ...sessionFlag,
  'request-id': Flags.string({
    summary: 'Id of this write (a UUID); the same id again changes nothing more.',
    helpValue: 'UUID',
  }),
};

export abstract class RoutedCommand<T extends typeof Command> extends BaseCommand<T> {
  /** How this run reads or writes. Notes on who serves go to stderr with --verbose, important ones always. */
  protected routing(config: ClusterConfig, session: string, purpose: 'read' | 'write'): Routing {
    const asked = this.flags.timeout;
    return {
      fleet: this.fleet(config),
      store: openStore(stateDir(), config.cluster),
      session: checkSessionName(session),
      patienceMs:
        asked === undefined
          ? purpose === 'read'
            ? READ_PATIENCE_MS
            : WRITE_PATIENCE_MS
          : parseDuration(asked),
      patient: asked !== undefined,
      note: (text, important = false) => {
        const { c } = this.errStyle();
        if (important) this.say(c.yellow(text), true);
        else if (this.flags.verbose) this.say(c.dim(text), true);
      },
    };
  }
}
