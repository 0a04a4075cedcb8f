/** How far a check has come, as it is written down: what is in the file, and when it may be gone on with. Pure. */
import * as z from 'zod/mini';
import { EXIT, RepctlError } from '../../errors.js';
import type { ComparePoint } from '../compare/run.js';
import type { TableResult } from '../result.js';
import { type NodeTally, newTally } from '../tally.js';

/** Files of another format are refused: raised with every change of what is in them. */
export const FORMAT = 1;

const count = z.int().check(z.nonnegative());
/** int8 and row counts: as text, since JSON's numbers lose digits. */
const whole = z.string().check(z.regex(/^-?\d{1,20}$/u));

const reading = z.nullable(z.looseObject({ key: z.string(), hash: z.string(), version: z.string() }));
const judgedRow = z.looseObject({
  key: z.string(),
  kind: z.enum(['missing', 'extra', 'differing']),
  proven: z.boolean(),
  leader: reading,
  node: reading,
});

const savedTally = z.object({
  rows: whole,
  blocks: count,
  blocksDiffering: count,
  blocksNotListed: count,
  /** Keys that are still to be judged. */
  suspects: z.array(z.string()),
  rechecked: count,
  inFlight: count,
  missing: count,
  extra: count,
  differing: count,
  unverified: count,
  samples: z.array(judgedRow),
  problem: z.nullable(z.string()),
});
export type SavedTally = z.infer<typeof savedTally>;

const savedTable = z.looseObject({
  schema: z.string(),
  name: z.string(),
  rows: whole,
  nodes: z.array(z.looseObject({ node: z.string(), verdict: z.enum(['equal', 'diverged', 'unverified']) })),
});

/** A request, as far as the part before the interruption and the part after it must have it alike. */
const savedRequest = z.object({
  tables: z.array(z.string()),
  nodes: z.array(z.string()),
  rows: count,
  blockRows: count,
  paranoid: z.boolean(),
  where: z.nullable(z.string()),
  since: z.nullable(z.string()),
  report: z.nullable(z.string()),
});
export type SavedRequest = z.infer<typeof savedRequest>;

const savedCheck = z.object({
  format: z.literal(FORMAT),
  cluster: z.string(),
  leader: z.string(),
  epoch: count,
  /** When that epoch began, RFC 3339: another cluster may have the same name. */
  epochStartedAt: z.string(),
  /** Replicas that are compared, sorted. */
  nodes: z.array(z.string()),
  digest: z.enum(['hash', 'sha256']),
  /** The time that `--since 2h` meant, RFC 3339. */
  since: z.nullable(z.string()),
  request: savedRequest,
  /** What to type to go on. */
  command: z.string(),
  /** RFC 3339, of the first part. */
  startedAt: z.string(),
  savedAt: z.string(),
  /** Tables that are compared; `form` is what they looked like on every node. */
  done: z.array(z.object({ form: z.string(), table: savedTable })),
  /** The table under way. */
  open: z.nullable(
    z.object({
      schema: z.string(),
      name: z.string(),
      form: z.string(),
      /** The first key that is not compared yet. */
      next: whole,
      rows: whole,
      blocks: count,
      durationMs: count,
      nodes: z.record(z.string(), savedTally),
    }),
  ),
  /** How much of the report is of what is compared. */
  report: z.nullable(z.object({ bytes: count, rows: count })),
});
export type SavedCheck = z.infer<typeof savedCheck>;
export type SavedOpen = NonNullable<SavedCheck['open']>;

/** What a file says. Throws `resume-unreadable` (exit 6). */
export function parseSaved(text: string, file: string): SavedCheck {
  const refuse = (why: string): RepctlError =>
    new RepctlError('resume-unreadable', `${file} cannot be gone on with: ${why}. Nothing was compared.`, {
      exit: EXIT.refused,
      hint: 'repctl check without --resume begins anew.',
      details: { file },
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('it is damaged');
  }
  const format = (value as { format?: unknown } | null)?.format;
  if (format !== FORMAT)
    throw refuse(
      `it is of another version of repctl (format ${JSON.stringify(format ?? null)}, this one has ${String(FORMAT)})`,
    );
  const parsed = savedCheck.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refuse(`it is damaged at ${parsed.error.issues[0]?.path.join('.') ?? 'an unknown place'}`);
}

/** Who is compared now. */
export interface Now extends Pick<SavedCheck, 'cluster' | 'leader' | 'epoch' | 'epochStartedAt' | 'nodes'> {
  /** Replicas that do not answer. */
  readonly unreachable: readonly string[];
}

/**
 * Why a check cannot go on in a cluster as it is now; undefined: it can. `resume-stale` (exit 6), or `node-unreachable`
 * (exit 3): a replica's differences of the first part would be forgotten without it.
 */
export function whyStale(saved: SavedCheck, now: Now): RepctlError | undefined {
  if (saved.cluster !== now.cluster)
    return stale(saved, `it was of cluster ${saved.cluster}, this is ${now.cluster}`);
  if (saved.epoch !== now.epoch || saved.leader !== now.leader)
    return stale(
      saved,
      `it compared with ${saved.leader} in epoch ${String(saved.epoch)}; now ${now.leader} leads in epoch ${String(now.epoch)}`,
    );
  if (saved.epochStartedAt !== now.epochStartedAt)
    return stale(
      saved,
      `it was of another cluster with this name, whose epoch ${String(saved.epoch)} began at ${saved.epochStartedAt}, not at ${now.epochStartedAt}`,
    );
  const lost = saved.nodes.filter((node) => now.unreachable.includes(node));
  if (lost.length > 0)
    return new RepctlError(
      'node-unreachable',
      `${lost.join(', ')} cannot be reached: the interrupted check compared ${lost.length === 1 ? 'it' : 'them'}, and goes on when all nodes of it answer. Nothing was compared; the state is kept.`,
      { exit: EXIT.unreachable, hint: `repctl status, then ${saved.command}`, details: { nodes: lost } },
    );
  if (JSON.stringify(saved.nodes) !== JSON.stringify(now.nodes))
    return stale(saved, `it compared ${saved.nodes.join(', ')}; now it would be ${now.nodes.join(', ')}`);
  return undefined;
}

/** The interrupted check cannot go on; `why` it cannot. */
export const stale = (saved: Pick<SavedCheck, 'startedAt' | 'command'>, why: string): RepctlError =>
  new RepctlError(
    'resume-stale',
    `The check that began at ${saved.startedAt} cannot go on: ${why}. Nothing was compared.`,
    { exit: EXIT.refused, hint: `${withoutResume(saved.command)}   begins anew` },
  );

const withoutResume = (command: string): string => command.replace(' --resume', '');

/** What a table's tally is in the file. */
export const saveTally = ({ rows, suspects, samples, ...counts }: NodeTally): SavedTally => ({
  ...counts,
  rows: String(rows),
  suspects: [...suspects],
  samples: samples as unknown as SavedTally['samples'],
});

/** The point from which the comparison of a table goes on. */
export const pointOf = (open: SavedOpen): ComparePoint => ({
  next: BigInt(open.next),
  rows: BigInt(open.rows),
  blocks: open.blocks,
  nodes: new Map(
    Object.entries(open.nodes).map(([node, tally]): [string, NodeTally] => [
      node,
      {
        ...newTally(),
        ...tally,
        rows: BigInt(tally.rows),
        suspects: new Set(tally.suspects),
        samples: tally.samples,
      },
    ]),
  ),
});

export const tableOf = (table: SavedCheck['done'][number]['table']): TableResult =>
  table as unknown as TableResult;
