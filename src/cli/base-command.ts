/**
 * What every command shares: global flags, output to the right stream, errors to exit codes and JSON.
 * A command is static metadata plus: parse → domain call → show(result, renderer).
 */
import { Command, Flags, type Interfaces } from '@oclif/core';
import { loadConfig } from '../config/load.js';
import { stateDir } from '../config/paths.js';
import { redact } from '../config/redact.js';
import type { ClusterConfig } from '../config/schema.js';
import { type Fleet, openFleet } from '../cluster/fleet.js';
import { EXIT, type ExitCode, type RepctlError } from '../errors.js';
import { type Journal, openJournal } from '../plan/journal.js';
import type { Trace } from '../postgres/session.js';
import type { Style } from '../ui/color.js';
import { parseDuration } from './duration.js';
import { toRepctlError } from './failure.js';
import { styleFor } from './terminal.js';

export type BaseFlags<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)['baseFlags'] & T['flags']
>;
export type BaseArgs<T extends typeof Command> = Interfaces.InferredArgs<T['args']>;

export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override enableJsonFlag = true;

  static override baseFlags = {
    config: Flags.string({
      char: 'c',
      summary: 'Configuration file.',
      helpValue: 'FILE',
      helpGroup: 'GLOBAL',
    }),
    'no-color': Flags.boolean({ summary: 'Print without colour.', helpGroup: 'GLOBAL' }),
    timeout: Flags.string({
      summary: 'Longest wait for a statement or a condition, such as 5s or 2m.',
      helpValue: 'DURATION',
      helpGroup: 'GLOBAL',
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
      args: this.ctor.args,
      strict: this.ctor.strict,
      enableJsonFlag: this.ctor.enableJsonFlag,
    });
    this.flags = flags as BaseFlags<T>;
    this.args = args as BaseArgs<T>;
    process.once('SIGINT', this.onSigint);
  }

  // ---- what commands use -------------------------------------------------------------------------------

  /** The cluster's configuration, with --timeout applied. Says on stderr when it is the sandbox's. */
  protected cluster(): ClusterConfig {
    const config = loadConfig({ file: this.flags.config });
    if (this.flags.timeout === undefined) return config;
    const timeoutMs = parseDuration(this.flags.timeout);
    return {
      ...config,
      statementTimeoutMs: timeoutMs,
      connectTimeoutMs: Math.min(config.connectTimeoutMs, timeoutMs),
    };
  }

  /** Sessions to the nodes, closed when the command ends. */
  protected fleet(config: ClusterConfig, applicationName = 'repctl'): Fleet {
    const fleet = openFleet(config, { trace: this.tracer(), applicationName });
    this.fleets.push(fleet);
    return fleet;
  }

  protected journal(config: ClusterConfig): Journal {
    return openJournal(stateDir(), config.cluster);
  }

  /** Aborted by the first Ctrl-C once interruptible() was called; otherwise Ctrl-C ends the process (130). */
  protected interruptible(): AbortSignal {
    this.steps = true;
    return this.interrupt.signal;
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
    const failure = toRepctlError(error);
    if (this.jsonEnabled()) this.logJson(this.toErrorJson(failure));
    else
      process.stderr.write(
        `${failureText(failure, styleFor(process.stderr, this.argv.includes('--no-color')))}\n`,
      );
    if (process.env['REPCTL_DEBUG'] === '1' && error instanceof Error)
      process.stderr.write(`${redact(error.stack ?? '')}\n`);
    process.exitCode = failure.exit;
    return Promise.resolve();
  }

  override async finally(error: Error | undefined): Promise<void> {
    process.removeListener('SIGINT', this.onSigint);
    await Promise.allSettled(this.fleets.map((fleet) => fleet.close()));
    this.fleets = [];
    await super.finally(error);
  }

  override logJson(json: unknown): void {
    process.stdout.write(`${redact(JSON.stringify(json, null, 2))}\n`);
  }

  /** A whitelist: oclif's own would dump the parse context, and with it any URL on the command line. */
  protected override toErrorJson(error: unknown): { error: Record<string, unknown> } {
    const failure = toRepctlError(error);
    return {
      error: {
        code: failure.code,
        message: failure.message,
        hint: failure.hint ?? null,
        details: failure.details,
      },
    };
  }

  private steps = false;

  private readonly onSigint = (): void => {
    if (!this.steps) this.leave();
    this.interrupt.abort();
    this.say('Stopping after this step. Ctrl-C again stops at once.', true);
    process.once('SIGINT', () => {
      this.leave();
    });
  };

  private leave(): never {
    process.stderr.write('Interrupted.\n');
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

/** `✗ message (code)` and the hint below, as a person reads it. */
export function failureText(failure: RepctlError, { c }: Style): string {
  const lines = [`${c.red('✗')} ${failure.message} ${c.dim(`(${failure.code})`)}`];
  for (const line of failure.hint?.split('\n') ?? []) lines.push(`  ${c.cyan(line)}`);
  return redact(lines.join('\n'));
}
