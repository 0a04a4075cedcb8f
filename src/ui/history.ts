import type { EventRow } from '../cluster/model.js';
import type { History } from '../replication/views/history.js';
import type { Style } from './color.js';
import { formatBytes, formatDuration } from './format.js';
import type { AuditRun } from '../plan/audit.js';
import { type FoundLoss, type Loss, type Reign, type StepTime, stepsOf } from '../replication/views/reign.js';
import { dash, facts, withUnseen } from './parts.js';
import { renderTable } from './table.js';

/** Whole seconds: `2026-11-23 10:14:07Z`. */
const time = (at: string): string => at.replace('T', ' ').replace(/(\.\d+)?(\+00(:?00)?|Z)?$/u, 'Z');

export function renderHistory(result: History, style: Style): string {
  const { c } = style;
  const part =
    result.audit === undefined
      ? result.reign === undefined
        ? undefined
        : renderReign(result.reign, style)
      : renderAudit(result.audit, style);
  if (part !== undefined) return withUnseen(part, result.unreachable, style);
  const epochs = renderTable(
    [
      { head: 'Epoch', align: 'right' },
      { head: 'Began' },
      { head: 'Leader' },
      { head: 'After' },
      { head: 'By' },
      { head: 'Operator', optional: true },
      { head: 'Fork point', optional: true },
      { head: 'At risk' },
      { head: 'Found' },
      { head: 'Why', optional: true },
    ],
    result.epochs.map((epoch) => [
      String(epoch.epoch),
      time(epoch.startedAt),
      epoch.leader,
      dash(epoch.previousLeader),
      epoch.operation,
      epoch.operator,
      dash(epoch.forkPoint),
      ...lossTexts(
        epoch.operation,
        result.losses.find((loss) => loss.epoch === epoch.epoch),
      ),
      dash(epoch.reason),
    ]),
    style,
  );
  const events = withoutBegun(result.events)
    .map((event) => eventLines(event, style))
    .join('\n');
  const head = c.dim(`read from ${result.readFrom}; repctl history EPOCH shows one in detail`);
  const unfinished = result.unfinished.map((epoch) => {
    const { operation = '', leader = '' } = result.epochs.find((one) => one.epoch === epoch) ?? {};
    return `\n${c.yellow('!')} the ${operation} to ${leader} was not finished: ${c.cyan(`repctl ${operation} ${leader}`)} goes on`;
  });
  return withUnseen(
    [epochs, ...unfinished, ...(events === '' ? [] : ['', events]), '', head].join('\n'),
    result.unreachable,
    style,
  );
}

/** Newest first: a beginning is worth a line only while its end has not come. */
const withoutBegun = (events: readonly EventRow[]): readonly EventRow[] =>
  events.filter(
    (event, i) =>
      !event.kind.endsWith('-begin') ||
      !events.slice(0, i).some((later) => later.kind === event.kind.replace(/-begin$/u, '')),
  );

/** What was said then, and what came out when the former leader came back: `≥ 12 kB`, `3 transactions`. */
function lossTexts(operation: string, loss: Loss | undefined): readonly [string, string] {
  // A switchover drains the leader first: there is nothing to find.
  if (loss === undefined || (operation === 'switchover' && loss.found === null)) return ['–', '–'];
  const { announcedBytes, found } = loss;
  // What the former leader wrote and sent to nobody is known to it alone.
  const announced = loss.ruledOut
    ? 'nothing'
    : announcedBytes === null || announcedBytes === 0
      ? 'unknown'
      : `≥ ${formatBytes(announcedBytes)}`;
  return [announced, found === null ? '–' : foundText(found)];
}

function announcedText({ announcedBytes, ruledOut, node }: Loss): string {
  if (ruledOut) return `nothing that ${node} acknowledged can be lost: commits waited for replicas`;
  if (announcedBytes === null) return 'unknown';
  return announcedBytes === 0
    ? `what ${node} had not sent yet may be lost; nobody saw how much`
    : `at least ${formatBytes(announcedBytes)} of ${node} may be lost`;
}

const count = (number: number, what: string): string => `${String(number)} ${what}${number === 1 ? '' : 's'}`;

function foundText({ transactions, rows }: FoundLoss): string {
  const [number, what] = transactions === null ? [rows ?? 0, 'row'] : [transactions, 'transaction'];
  return number === 0 ? 'nothing' : count(number, what);
}

/** Step ids as words; the rest of them are words already. */
const WORDS: Readonly<Record<string, string>> = {
  quiesce: 'drain',
  drain: 'drain into',
  'await-copy': 'copy to',
  'fence-node': 'fence',
  'unfence-node': 'unfence',
  'save-stranded': 'save what only it has:',
  'replay-stranded': 'replay on',
  rejoin: 'set right, attach',
};

/** `quiesce:n1` → `drain n1`, `await-copy:n2+n3` → `copy to n2, n3` */
function stepText(id: string): string {
  const [kind = '', ...subject] = id.split(':');
  return `${WORDS[kind] ?? kind} ${subject.join(' ').replaceAll('+', ', ')}`.trimEnd();
}

function eventLines(event: EventRow, { c }: Style): string {
  const steps = stepsOf(event);
  const first = [
    time(event.at),
    c.bold(event.kind),
    ...(event.node === null ? [] : [event.node]),
    c.dim(`epoch ${String(event.epoch)}, ${event.operator}`),
    ...(event.reason === null ? [] : [event.reason]),
  ].join('  ');
  const width = Math.max(0, ...steps.map((step) => stepText(step.id).length));
  const rest = steps.map(
    (step) => `    ${stepText(step.id).padEnd(width)}  ${formatDuration(step.ms).padStart(7)}`,
  );
  return [first, ...rest].join('\n');
}

const BAR = 24;

/** Steps with bars: how long each took beside the longest. */
function stepLines(steps: readonly StepTime[], { c, width }: Style): string[] {
  const longest = Math.max(1, ...steps.map((step) => step.ms));
  const idWidth = Math.max(0, ...steps.map((step) => stepText(step.id).length));
  return steps.map(({ id, ms, result }) => {
    const bar = '█'.repeat(Math.max(1, Math.round((ms / longest) * BAR))).padEnd(BAR);
    const head = `  ${stepText(id).padEnd(idWidth)}  ${formatDuration(ms).padStart(8)}  `;
    const figures = resultText(result);
    const room = width - head.length - BAR - 2;
    return `${head}${c.cyan(bar)}${figures !== '' && figures.length <= room ? `  ${c.dim(figures)}` : ''}`.trimEnd();
  });
}

/** Figures and short words of a step's result: `attempts 1, forkPoint 0/5A3F210`. */
const resultText = (result: StepTime['result']): string =>
  Object.entries(result ?? {})
    // The zeros of a dead worker's position, and answers to nothing, tell nobody anything.
    .filter(([, value]) => (typeof value === 'number' || typeof value === 'string') && value !== '0/0')
    .map(([key, value]) => `${key.replaceAll(/[A-Z]/gu, (it) => ` ${it.toLowerCase()}`)} ${String(value)}`)
    .join(', ');

function renderReign(reign: Reign, style: Style): string {
  const { c } = style;
  const { loss } = reign;
  const head = `${c.bold(`epoch ${String(reign.epoch)}`)}   leader ${reign.leader}${reign.endedAt === null ? `   ${c.green('goes on')}` : ''}`;
  const pairs: (readonly [string, string])[] = [
    ['began', `${time(reign.startedAt)} by ${reign.operation}, ${reign.operator}`],
    ...(reign.endedAt === null ? [] : [['ended', time(reign.endedAt)] as const]),
    ['after', dash(reign.previousLeader)],
    ['why', dash(reign.reason)],
    ['fork point', dash(reign.forkPoint)],
    ...(loss === null
      ? []
      : ([
          ['announced', announcedText(loss)],
          [
            'found',
            loss.found === null
              ? `unknown until ${loss.node} is rejoined, if it was not yet`
              : `${foundText(loss.found)}${loss.found.file === null ? '' : `, kept in ${loss.found.file}`}`,
          ],
        ] as const)),
  ];
  const operations = reign.operations.map((operation) => {
    const sum = operation.steps.reduce((total, step) => total + step.ms, 0);
    const first = [
      time(operation.at),
      c.bold(operation.kind),
      ...(operation.node === null ? [] : [operation.node]),
      c.dim(operation.operator),
      ...(operation.reason === null ? [] : [operation.reason]),
      ...(operation.steps.length === 0 ? [] : [c.dim(`${formatDuration(sum)} in all steps`)]),
    ].join('  ');
    return ['', first, ...stepLines(operation.steps, style)].join('\n');
  });
  const unfinished = reign.unfinished
    ? [`${c.yellow('!')} not finished: ${c.cyan(`repctl ${reign.operation} ${reign.leader}`)} goes on`]
    : [];
  return [head, facts(pairs, style), ...unfinished, ...operations].join('\n');
}

function renderAudit(runs: readonly AuditRun[], { c }: Style): string {
  if (runs.length === 0) return 'Nothing was done from this machine.';
  const paint = (status: AuditRun['status']): string =>
    status === 'done' ? c.green(status) : status === 'running' ? c.cyan(status) : c.yellow(status);
  return runs
    .map((run) => {
      const ms = Date.parse(run.endedAt) - Date.parse(run.startedAt);
      const head = `${time(run.startedAt)}  ${c.bold(run.operation)}  ${paint(run.status)}  ${c.dim(`${formatDuration(ms)}, process ${String(run.pid)}`)}`;
      // Where a run ended well its steps say no more than the history does.
      const odd = run.steps.filter((step) => step.ms === null || step.error !== null);
      return [
        head,
        ...odd.map((step) => `    ${stepText(step.id)}  ${step.error ?? 'begun, its end is not known'}`),
      ].join('\n');
    })
    .join('\n');
}
