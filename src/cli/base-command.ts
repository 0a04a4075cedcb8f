/**
 * What every command shares: global flags, output to the right stream, errors to exit codes and JSON.
 * A command is static metadata plus: parse → domain call → show(result, renderer).
 */
import { Command, Flags, type Interfaces } from '@oclif/core';
import { loadConfig } from '../config/load.js';
import { stateDir } from '../config/paths.js';
import { redact, redactDeep } from '../config/redact.js';
import type { ClusterConfig } from '../config/schema.js';
import { type Fleet, openFleet } from '../cluster/fleet.js';
import { EXIT, type ExitCode } from '../errors.js';
import { type Journal, openJournal } from '../plan/journal.js';
import type { Trace } from '../postgres/session.js';
import type { Style } from '../ui/color.js';
import { assertDirectHost } from '../config/connection.js';
import { noteCommand } from '../config/transcript.js';
import { parseDuration } from './duration.js';
import { toRepctlError } from './failure.js';
import { failureJson, reportFailure } from './report.js';
import { styleFor } from './terminal.js';

export type BaseFlags<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)['baseFlags'] & T['flags']
>;
export type BaseArgs<T extends typeof Command> = Interfaces.InferredArgs<T['args']>;

/** What the types promise: oclif leaves a switch that was not given undefined. */
function absentAsFalse({ flags, baseFlags }: typeof Command): Record<string, false> {
  return Object.fromEntries(
    Object.entries({ ...baseFlags, ...flags })
      .filter(([, flag]) => flag.type === 'boolean')
      .map(([name]) => [name, false]),
  );
}

/** What users write waits for replicas as the server says; what repctl writes for itself never does. */
const USERS_WRITES = /^(?:product:|sql$)/u;

/** Plain reads and writes, and the command that reports pooled hosts. */
const WORKS_POOLED = /^(?:product:|sql$|doctor$)/u;

export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override enableJsonFlag = true;

  static override baseFlags = {
    config: Flags.string({
      char: 'c',
      summary: 'Configuration file (or REPCTL_CONFIG).',
      helpValue: 'FILE',
      helpGroup: 'GLOBAL',
    }),
    'no-color': Flags.boolean({ summary: 'Print without colour.', helpGroup: 'GLOBAL' }),
    timeout: Flags.string({
      summary: 'Longest wait for a statement or a condition, such as 5s or 2m.',
      helpValue: 'DURATION',
      helpGroup: 'GLOBAL',
      env: 'REPCTL_TIMEOUT',
    }),
    verbose: Flags.boolean({
      char: 'v',
      summary: 'Show each SQL statement with node and time on stderr.',
      helpGroup: 'GLOBAL',
    }),
  };

  protected flags!: BaseFlags<T>;
  protected args!: BaseArgs<T>;

  private fleets: Fleet[] = [];
  private readonly interrupt = new AbortController();

  override async init(): Promise<void> {
    await super.init();
    const { args, flags } = await this.parse({
      flags: this.ctor.flags,
      baseFlags: (super.ctor as typeof BaseCommand).baseFlags,
      // oclif would read whatever is piped in for an argument that is left out, all of it: `failover < list` would
      // take it for a node, `product import < file` the products for the name of a file.
      args: Object.fromEntries(
        Object.entries(this.ctor.args).map(([name, arg]) => [name, { ...arg, ignoreStdin: true }]),
      ),
      strict: this.ctor.strict,
      enableJsonFlag: this.ctor.enableJsonFlag,
    });
    this.flags = { ...absentAsFalse(this.ctor), ...flags } as BaseFlags<T>;
    this.args = args as BaseArgs<T>;
    process.once('SIGINT', this.onSigint);
    noteCommand([...(this.id ?? '').split(':'), ...this.argv]);
  }

  // ---- what commands use -------------------------------------------------------------------------------

  /** The cluster's configuration, with --timeout applied. Says on stderr where it is from if not from a file. */
  protected cluster(): ClusterConfig {
    const config = loadConfig({ file: this.flags.config });
    this.sayOrigin(config);
    if (this.flags.timeout === undefined) return config;
    const timeoutMs = parseDuration(this.flags.timeout);
    return {
      ...config,
      statementTimeoutMs: timeoutMs,
      connectTimeoutMs: Math.min(config.connectTimeoutMs, timeoutMs),
    };
  }

  /** Sessions to the nodes, closed when the command ends. Refuses pooled hosts (exit 6) where they cannot serve. */
  protected fleet(config: ClusterConfig, applicationName = 'repctl'): Fleet {
    if (!WORKS_POOLED.test(this.id ?? '')) config.nodes.forEach(assertDirectHost);
    const fleet = openFleet(config, {
      trace: this.tracer(),
      applicationName,
      commitsLocally: !USERS_WRITES.test(this.id ?? ''),
    });
    this.fleets.push(fleet);
    return fleet;
  }

  protected journal(config: ClusterConfig): Journal {
    return openJournal(stateDir(), config.cluster);
  }

  /**
   * Aborted by the first Ctrl-C once interruptible() was called; otherwise Ctrl-C ends the process (130).
   * `notice` is what the first Ctrl-C says.
   */
  protected interruptible(notice = 'Stopping after this step. Ctrl-C again stops at once.'): AbortSignal {
    this.steps = true;
    this.notice = notice;
    // A reader that goes away (`| head`) must not end an operation halfway: it goes on unheard.
    process.stdout.removeAllListeners('error').on('error', () => undefined);
    return this.interrupt.signal;
  }

  /** What is said where Ctrl-C or SIGTERM ends the process, such as how to go on. */
  protected onInterrupt(text: () => string): void {
    this.parting = text;
    process.once('SIGTERM', this.onSigterm);
  }

  /** Prints a result on stdout through a pure renderer, unless --json prints it. Returns the result. */
  protected show<R>(result: R, render: (result: R, style: Style) => string): R {
    if (!this.jsonEnabled()) {
      const text = render(result, styleFor(process.stdout, this.flags['no-color']));
      if (text !== '') process.stdout.write(`${redact(text)}\n`);
    }
    return result;
  }

  /** Talk: stderr, never part of the data. Silent with --json unless `always`. */
  protected say(text: string, always = false): void {
    if (!this.jsonEnabled() || always) process.stderr.write(`${redact(text)}\n`);
  }

  /** How stderr may be written to. */
  protected errStyle(): Style {
    return styleFor(process.stderr, this.flags['no-color']);
  }

  /** The exit status of a command that has a result but is not content with it. */
  protected exitWith(code: ExitCode): void {
    process.exitCode = code;
  }

  // ---- oclif's hooks -----------------------------------------------------------------------------------

  override async catch(error: unknown): Promise<void> {
    // The reader of a stream (`product export | head`) has what it wanted.
    if ((error as NodeJS.ErrnoException | null)?.code !== 'EPIPE')
      reportFailure(error, { json: this.jsonEnabled(), noColor: this.argv.includes('--no-color') });
    return Promise.resolve();
  }

  override async finally(error: Error | undefined): Promise<void> {
    process.removeListener('SIGINT', this.onSigint);
    process.removeListener('SIGTERM', this.onSigterm);
    await Promise.allSettled(this.fleets.map((fleet) => fleet.close()));
    this.fleets = [];
    await super.finally(error);
  }

  override logJson(json: unknown): void {
    process.stdout.write(`${JSON.stringify(redactDeep(json), null, 2)}\n`);
  }

  protected override toErrorJson(error: unknown): { error: Record<string, unknown> } {
    return failureJson(toRepctlError(error));
  }

  private sayOrigin({ source, nodes, warnings = [] }: ClusterConfig): void {
    if (this.originSaid) return;
    this.originSaid = true;
    const { c } = this.errStyle();
    if (source === 'sandbox') this.say(c.dim('Using the sandbox of this machine.'));
    if (source === 'environment')
      this.say(c.dim(`Using REPCTL_URL_*: ${nodes.map((node) => node.name).join(', ')}.`));
    for (const warning of warnings) this.say(`${c.yellow('!')} ${warning}`);
  }

  private originSaid = false;
  private steps = false;
  private notice = '';
  private parting: () => string = () => '';

  private readonly onSigint = (): void => {
    if (!this.steps) this.leave();
    this.interrupt.abort();
    if (this.notice !== '') this.say(this.notice, true);
    process.once('SIGINT', () => {
      this.leave();
    });
  };

  private readonly onSigterm = (): void => {
    this.leave();
  };

  private leave(): never {
    process.stderr.write(
      redact(['Interrupted.', this.parting()].filter((text) => text !== '').join('\n')) + '\n',
    );
    process.exit(EXIT.interrupted);
  }

  private tracer(): ((trace: Trace) => void) | undefined {
    if (!this.flags.verbose) return undefined;
    const { c } = this.errStyle();
    return (trace) => {
      const outcome = trace.error ?? (trace.rows === undefined ? '' : `${String(trace.rows)} rows`);
      const sql = trace.sql.replaceAll(/\s+/g, ' ').trim();
      process.stderr.write(
        redact(`${c.dim(`[${trace.node}] ${trace.ms.toFixed(1)} ms ${outcome}`)} ${sql}\n`),
      );
    };
  }
}
