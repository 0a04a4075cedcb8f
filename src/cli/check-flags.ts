/** The flags of `check`, and what they mean to the domain. */
import { Flags } from '@oclif/core';
import type { CheckRequest } from '../consistency/check.js';
import { type Rate, parseRate } from '../consistency/pace.js';
import { type Since, parseTime } from '../consistency/since.js';
import { RepctlError } from '../errors.js';
import { parseDuration } from './duration.js';
import { listed } from './list-flag.js';

export const checkFlags = {
  node: Flags.string({
    summary: 'Compare only this replica (may be repeated).',
    ...listed,
    // Or `check --node n4 products` would look for a node called products.
    multipleNonGreedy: true,
    helpValue: 'NODE',
  }),
  schema: Flags.boolean({
    summary: 'Compare definitions, publication and sequences alone; read no rows.',
    exclusive: ['where', 'since', 'paranoid', 'exact', 'max-rate', 'report'],
  }),
  where: Flags.string({
    summary: 'Compare only rows whose key meets this SQL condition; for the tables that are named.',
    helpValue: 'CONDITION',
  }),
  since: Flags.string({
    summary: 'Compare only rows that changed since: 2h, or a time (UTC unless it says otherwise).',
    helpValue: 'TIME|DURATION',
  }),
  'since-column': Flags.string({
    summary: 'The column that says when a row changed. Rows where it is null are compared too.',
    helpValue: 'COLUMN',
    default: 'updated_at',
  }),
  paranoid: Flags.boolean({ summary: 'Take sha256 for the digests: slower, and nobody can forge it.' }),
  exact: Flags.boolean({
    summary: 'Compare everything at one moment; locks the tables against writers for some milliseconds.',
  }),
  'max-rate': Flags.string({
    summary: 'Read no more than this per second and node: 50000rows, 20MB.',
    helpValue: 'RATE',
  }),
  report: Flags.string({
    summary: 'Write every difference to this file, a line of JSON each; no limit of 10,000 then.',
    helpValue: 'FILE',
  }),
  resume: Flags.boolean({
    summary: 'Go on with the check of the same tables and flags that was interrupted.',
    exclusive: ['schema', 'exact', 'history'],
  }),
  history: Flags.boolean({
    summary: 'Show what earlier checks from this machine found: since when what is equal, or not.',
    exclusive: ['schema', 'where', 'since', 'paranoid', 'exact', 'max-rate', 'report', 'node'],
  }),
  quiet: Flags.boolean({
    char: 'q',
    summary: 'For cron: no progress, nothing at all when equal, else a line for each thing that is not.',
  }),
  rows: Flags.integer({
    summary: 'How many differing rows to show, per table and replica.',
    helpValue: 'N',
    min: 0,
    max: 10_000,
    default: 10,
  }),
  concurrency: Flags.integer({
    summary: 'Blocks compared at once: connections per node.',
    helpValue: 'N',
    min: 1,
    max: 16,
    default: 2,
  }),
  'block-rows': Flags.integer({
    summary: 'Rows in a block.',
    helpValue: 'N',
    min: 100,
    max: 10_000_000,
    default: 50_000,
  }),
};

export interface CheckFlags {
  readonly node: readonly string[];
  readonly schema: boolean;
  readonly where?: string | undefined;
  readonly since?: string | undefined;
  readonly 'since-column': string;
  readonly paranoid: boolean;
  readonly exact: boolean;
  readonly 'max-rate'?: string | undefined;
  readonly rows: number;
  readonly concurrency: number;
  readonly 'block-rows': number;
}

/** Throws `usage` (exit 2). */
export function checkRequest(tables: readonly string[], flags: CheckFlags, waitMs: number): CheckRequest {
  return {
    tables,
    nodes: flags.node,
    rows: flags.rows,
    concurrency: flags.concurrency,
    blockRows: flags['block-rows'],
    waitMs,
    schemaOnly: flags.schema,
    paranoid: flags.paranoid,
    exact: flags.exact,
    ...(flags['max-rate'] === undefined ? {} : { rate: rateOf(flags['max-rate']) }),
    ...(flags.where === undefined ? {} : { where: flags.where }),
    ...(flags.since === undefined ? {} : { since: sinceOf(flags.since, flags['since-column']) }),
  };
}

function rateOf(text: string): Rate {
  const rate = parseRate(text);
  if (rate) return rate;
  throw new RepctlError(
    'usage',
    `--max-rate takes rows or bytes per second such as 50000rows or 20MB, not ${JSON.stringify(text)}.`,
  );
}

function sinceOf(text: string, column: string): Since {
  const time = parseTime(text);
  if (time !== undefined) return { at: { time }, column };
  const days = /^(\d+(?:\.\d+)?)d$/u.exec(text.trim());
  if (days) return { at: { agoMs: Number(days[1]) * 86_400_000 }, column };
  try {
    return { at: { agoMs: parseDuration(text, '--since') }, column };
  } catch {
    throw new RepctlError(
      'usage',
      `--since takes a time such as 2026-11-28T01:30Z or a duration such as 30m, 2h or 7d, not ${JSON.stringify(text)}.`,
    );
  }
}

/** What to type to go on with a check that was called with `argv`: the same words, and --resume. */
export function resumeCommand(argv: readonly string[]): string {
  const words = argv.filter((word) => word !== '--resume').map(shellWord);
  return ['repctl check --resume', ...words].join(' ');
}

const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
