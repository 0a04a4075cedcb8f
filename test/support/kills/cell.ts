/** One cell of the matrix: an operation, struck once at one moment, and an operator who goes on from there. */
import type { ChildProcess } from 'node:child_process';
import { killNode, startNode } from '../../../src/sandbox/sandbox.js';
import { judge, rowsOn } from './judge.js';
import { type Ledger, startLedger } from './ledger.js';
import { type Outcome, type Status, type Typed, commandsIn, start } from './operator.js';
import type { Rig } from './rig.js';
import { type Operation, type Scene, prepare } from './scenes.js';
import type { Report, Strike } from './strike.js';

export const LINKS = ['leader-target', 'target-sibling', 'leader-sibling'] as const;
export const CUTS = ['silent', 'reset', 'one-way', 'other-way'] as const;
export type Victim =
  | 'nobody'
  | 'repctl'
  | 'leader'
  | 'target'
  | 'sibling'
  | `${(typeof LINKS)[number]}/${(typeof CUTS)[number]}`;

/** `on`: the victim stays down for as long as repctl itself names a way to go on; `back`: it is back at once. */
export type Manner = 'on' | 'back';

export interface Cell {
  readonly operation: Operation;
  readonly strike: Strike | undefined;
  readonly victim: Victim;
  readonly manner: Manner;
  readonly seed: number;
}

export interface CellResult {
  readonly cell: Cell;
  readonly violations: readonly string[];
  /** Where it was struck, in the operation's own words; empty when it was over before. */
  readonly struck: string;
  readonly transcript: readonly string[];
  readonly acknowledged: number;
  readonly lost: number;
  readonly ms: number;
  /** Where the milliseconds went, in the order of the phases. */
  readonly phases: readonly (readonly [name: string, ms: number])[];
  /** How many times the program was started, `status` included. */
  readonly runs: number;
  /** Steps of the struck run in the order in which they started, with their statements. */
  readonly steps: readonly { readonly ordinal: number; readonly id: string; readonly statements: number }[];
}

export const nameOf = ({ operation, strike, victim, manner, seed }: Cell): string =>
  [
    operation,
    strike === undefined
      ? 'whole'
      : strike.statement === undefined
        ? `after-${String(strike.step)}`
        : `in-${String(strike.step)}@${String(strike.statement)}${strike.when === 'sent' ? 's' : ''}`,
    victim,
    manner,
    String(seed),
  ].join(':');

/** The cell of a name as nameOf() gives it. */
export function cellOf(name: string): Cell {
  const [operation, moment = '', victim, manner, seed] = name.split(':');
  const found = /^(?:after-(\d+)|in-(\d+)@(\d+)(s?))$/.exec(moment);
  const strike: Strike | undefined =
    found === null
      ? undefined
      : found[1] === undefined
        ? { step: Number(found[2]), statement: Number(found[3]), when: found[4] === 's' ? 'sent' : 'before' }
        : { step: Number(found[1]) };
  return {
    operation: operation as Operation,
    strike,
    victim: victim as Victim,
    manner: manner as Manner,
    seed: Number(seed),
  };
}

/** Small, and the same everywhere: numbers from 0 to 1. */
export function randomOf(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Struck {
  readonly down: Set<string>;
  cut: (() => Promise<void>) | undefined;
}

async function hit(rig: Rig, cell: Cell, scene: Scene, state: Struck, child: ChildProcess): Promise<void> {
  const { sandbox } = rig.servers;
  const role = (name: string): string =>
    name === 'leader' ? scene.leader : name === 'target' ? scene.target : scene.sibling;
  switch (cell.victim) {
    case 'nobody':
      break;
    case 'repctl':
      child.kill('SIGKILL');
      break;
    case 'leader':
    case 'target':
    case 'sibling': {
      const name = role(cell.victim);
      // What is down already comes back instead, in the middle of it all.
      if (state.down.has(name)) {
        await startNode(sandbox, name);
        state.down.delete(name);
      } else {
        await killNode(sandbox, name);
        state.down.add(name);
      }
      break;
    }
    default: {
      const [pair = '', how] = cell.victim.split('/');
      const [a, b] = pair.split('-').map(role) as [string, string];
      const [from, to] = how === 'other-way' ? [b, a] : [a, b];
      const oneWay = how === 'one-way' || how === 'other-way';
      await rig.link(from, to, how === 'reset' ? 'reset' : 'silent', oneWay);
      state.cut = () => rig.link(a, b, 'open');
    }
  }
  // It says where it is just before it stops: a single SIGCONT could come too early.
  const wake = setInterval(() => child.kill('SIGCONT'), 20);
  child.once('exit', () => {
    clearInterval(wake);
  });
  child.kill('SIGCONT');
}

const PATIENCE_MS = 60_000;

/** What the operator types until all is well; the words of each command and its end go into the transcript. */
class Hand {
  readonly transcript: string[] = [];
  readonly rejoined = new Set<string>();
  readonly discarded = new Set<string>();
  readonly disk = new Set<string>();
  private readonly tried = new Map<string, number>();

  constructor(
    private readonly rig: Rig,
    private readonly scene: Scene,
    private readonly state: Struck,
    private readonly clients: readonly number[],
  ) {}

  note(outcome: Outcome): void {
    const end =
      outcome.signal ??
      `${String(outcome.code)}${outcome.error === undefined ? '' : ` ${outcome.error.code}: ${outcome.error.message} ▸ ${outcome.error.hint.join(' ▸ ')}`}`;
    const began = new Map(outcome.reports.flatMap((it) => (it.type === 'start' ? [[it.id, it.at]] : [])));
    const steps = outcome.reports.flatMap((it) =>
      it.type === 'done' ? [`${it.id} ${String(it.at - (began.get(it.id) ?? it.at))}`] : [],
    );
    this.transcript.push(
      `repctl ${outcome.argv.join(' ')} (${String(outcome.ms)} ms; ${steps.join(' ')}) → ${end}`,
    );
  }

  /** How often a command was typed since something else had changed. */
  again(): void {
    this.tried.clear();
  }

  async type(argv: readonly string[]): Promise<Outcome> {
    const key = argv.join(' ');
    this.tried.set(key, (this.tried.get(key) ?? 0) + 1);
    const takesYes =
      this.rig.commands.get(argv.slice(0, 2).join(':')) ?? this.rig.commands.get(argv[0] ?? '') ?? false;
    const full = takesYes && !argv.includes('--yes') ? [...argv, '--yes'] : argv;
    if (argv.includes('--accept-data-loss')) for (const word of argv) this.discarded.add(word);
    if (/^(rejoin|rewire)/.test(key))
      for (const name of argv.filter((word) => this.rig.names.includes(word))) await this.look(name);
    const outcome = await ended(start(this.rig.terminal, full));
    this.note(outcome);
    if (argv[0] === 'rejoin' && outcome.code === 0 && argv[1] !== undefined) this.rejoined.add(argv[1]);
    return outcome;
  }

  /** What a node has on disk now; nothing when it is down. */
  async look(name: string): Promise<void> {
    if (this.state.down.has(name)) return;
    for (const key of await rowsOn(this.rig, name, this.clients).catch(() => [])) this.disk.add(key);
  }

  /** The next command that the last outcome names, or the same one where it says so. */
  next(last: Outcome, findings: readonly { fix?: string }[]): Typed | undefined {
    const known = new Set(this.rig.commands.keys());
    const hint = last.error?.hint.join('\n') ?? '';
    const same: Typed[] =
      last.signal !== null || /same command|again/i.test(hint) ? [{ argv: last.argv, looks: false }] : [];
    const named = last.code === 0 ? [] : commandsIn(hint, this.rig.names, known);
    const fixes = findings.flatMap(({ fix }) => commandsIn(fix ?? '', this.rig.names, known));
    return [...named, ...same, ...fixes].find(
      (typed) => !typed.looks && this.honest(typed.argv) && (this.tried.get(typed.argv.join(' ')) ?? 0) < 3,
    );
  }

  /** Nobody says that a leader is dead who has not seen it dead. */
  private honest(argv: readonly string[]): boolean {
    if (argv.includes('--leader-is-dead'))
      return this.state.down.has(this.scene.leader) || this.state.down.size > 0;
    if (argv.includes('--accept-minority')) return this.state.down.size > 0;
    return true;
  }
}

/** Waits for a command; one that does not end is killed, and that is an outcome too. */
async function ended(running: ReturnType<typeof start>): Promise<Outcome> {
  const timer = setTimeout(() => running.child.kill('SIGKILL'), PATIENCE_MS);
  const outcome = await running.ended;
  clearTimeout(timer);
  return outcome;
}

async function restore(rig: Rig, hand: Hand, state: Struck): Promise<void> {
  await state.cut?.();
  state.cut = undefined;
  const back = [...state.down];
  await Promise.all(back.map((name) => startNode(rig.servers.sandbox, name)));
  state.down.clear();
  for (const name of back) await hand.look(name);
  if (back.length > 0) hand.transcript.push(`(${back.join(', ')} started)`);
  hand.again();
}

/** The findings that name a command which does something. */
const todo = (rig: Rig, seen: Status): Status['findings'] =>
  seen.findings.filter(({ fix }) =>
    commandsIn(fix ?? '', rig.names, new Set(rig.commands.keys())).some((typed) => !typed.looks),
  );

const wordsOf = (seen: Status): string =>
  seen.findings.map((it) => `${it.node ?? ''} ${it.code}: ${it.message} (${it.fix ?? ''})`).join('; ');

/** Types on until `status` is content and has nothing more to do; undefined, or why there is no way on. */
async function goOn(rig: Rig, hand: Hand, first: Outcome, untilMs: number): Promise<string | undefined> {
  let last = first;
  for (;;) {
    const seen = await quiet(rig, hand, last.code === 0 ? 3000 : 0);
    const left = todo(rig, seen);
    if (seen.state === 'healthy' && left.length === 0 && last.code === 0) return undefined;
    const now = performance.now();
    if (now > untilMs) return `not healthy in time: ${seen.state}: ${wordsOf(seen)}`;
    let typed = hand.next(last, left);
    if (typed === undefined) {
      // A refusal because there is nothing left to do is an end like any other: what does status say?
      const calm = await quiet(rig, hand, 4000);
      if (calm.state === 'healthy' && todo(rig, calm).length === 0) return undefined;
      typed = hand.next(last, todo(rig, calm));
      if (typed === undefined) return `no way on from ${calm.state}: ${wordsOf(calm)}`;
    }
    const because = left.find((it) => it.fix?.includes(typed.argv.join(' ')));
    if (because !== undefined && last.code === 0)
      hand.transcript.push(`(${because.node ?? ''} ${because.code}: ${because.message})`);
    last = await hand.type(typed.argv);
  }
}

/** Status, as soon as it is healthy without anything to do; at the latest after `ms`. */
async function quiet(rig: Rig, hand: Hand, ms: number): ReturnType<Rig['status']> {
  const from = performance.now();
  const deadline = from + ms;
  for (;;) {
    const seen = await rig.status();
    hand.transcript.push(
      `(status after ${String(Math.round(performance.now() - from))} ms: ${seen.state} ${seen.findings.map((it) => `${it.node ?? ''} ${it.code}`).join(', ')})`,
    );
    if ((seen.state === 'healthy' && todo(rig, seen).length === 0) || performance.now() > deadline)
      return seen;
  }
}

const counter = { cells: 0 };

export async function runCell(rig: Rig, cell: Cell): Promise<CellResult> {
  const began = performance.now();
  const phases: (readonly [string, number])[] = [];
  let since = began;
  const over = (phase: string): void => {
    const now = performance.now();
    phases.push([phase, Math.round(now - since)]);
    since = now;
  };
  const runsBefore = rig.runs();
  const random = randomOf(cell.seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  counter.cells += 1;
  const clients = [counter.cells * 10 + 1, counter.cells * 10 + 2];
  rig.watcher.reset();
  const leaderBefore = await rig.leader();
  await rig.direct.need(
    leaderBefore,
    `delete from kills_row where client < ${String(clients[0])} - 20; select 1`,
  );
  const [epochBefore] = await rig.direct.need<{ epoch: number }>(
    leaderBefore,
    'select max(epoch)::int as epoch from repctl.epoch',
  );
  const ledger = startLedger(rig.servers.sandbox, clients);
  const state: Struck = { down: new Set(), cut: undefined };
  const reports: Report[] = [];
  let transcript: string[] = [];
  let violations: string[] = [];
  let verdict = { acknowledged: 0, lost: 0 };
  try {
    await acknowledgedMore(ledger, 10);
    over('writing');
    const scene = await prepare(cell.operation, rig, ledger, pick);
    for (const name of scene.down) state.down.add(name);
    const hand = new Hand(rig, scene, state, clients);
    transcript = hand.transcript;
    if (cell.operation === 'rejoin') await hand.look(scene.target);
    over('prepare');
    let hitting: Promise<void> = Promise.resolve();
    const first = await ended(
      start(rig.terminal, scene.argv, {
        ...(cell.strike === undefined ? {} : { strike: cell.strike }),
        onReport(report, child) {
          reports.push(report);
          if (report.type === 'strike') hitting = hit(rig, cell, aim(scene, reports, rig), state, child);
        },
      }),
    );
    await hitting;
    over('struck');
    hand.note(first);
    const ends = new Set(
      reports.flatMap((it) => (it.type === 'done' || it.type === 'failed' ? [it.id] : [])),
    );
    const open = reports.flatMap((it) => (it.type === 'start' && !ends.has(it.id) ? [it.id] : []));
    if (open.length > 0) hand.transcript.push(`(not over: ${open.join(', ')})`);
    if (first.argv[0] === 'rejoin' && first.code === 0) hand.rejoined.add(scene.target);
    if (first.ms >= PATIENCE_MS - 500) violations.push(`it did not end within ${String(PATIENCE_MS)} ms`);
    if (first.code === 1)
      violations.push(`exit 1: ${first.error?.code ?? ''} ${first.error?.message ?? first.stderr}`);
    let last = first;
    const known = new Set(rig.commands.keys());
    if (cell.manner === 'on' && (state.down.size > 0 || state.cut !== undefined)) {
      // As far as its own words lead on with the victim gone.
      for (let round = 0; round < 4; round += 1) {
        const seen = last.code === 0 ? await rig.status() : { findings: [] as Status['findings'] };
        const typed = hand.next(
          last,
          seen.findings.filter((it) => commandsIn(it.fix ?? '', rig.names, known).length > 0),
        );
        if (typed === undefined) break;
        const because = seen.findings.find((it) => it.fix?.includes(typed.argv.join(' ')));
        if (because !== undefined)
          hand.transcript.push(`(${because.node ?? ''} ${because.code}: ${because.message})`);
        last = await hand.type(typed.argv);
      }
    }
    over('on');
    await restore(rig, hand, state);
    over('restore');
    const stuck = await goOn(rig, hand, last, performance.now() + 45_000);
    if (stuck !== undefined) violations.push(stuck);
    else {
      await acknowledgedMore(ledger, 4).catch(() => {
        violations.push('healthy, and yet no client can write');
      });
    }
    over('mend');
    await ledger.stop();
    const operations = await rig.direct.need<{ operation: string }>(
      await rig.leader(),
      `select operation from repctl.epoch where epoch > ${String(epochBefore?.epoch ?? 0)}`,
    );
    const judged = await judge(rig, {
      ledger,
      clients,
      disk: hand.disk,
      rejoined: hand.rejoined,
      discarded: hand.discarded,
      mayLose: operations.some((row) => row.operation !== 'switchover'),
    });
    over('judge');
    verdict = { acknowledged: judged.acknowledged, lost: judged.lost };
    violations = [...violations, ...judged.violations];
  } catch (error) {
    violations.push(`harness: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    await ledger.stop();
  }
  return {
    cell,
    violations,
    transcript,
    ...verdict,
    struck: reports
      .flatMap((it) =>
        it.type === 'strike' ? [`${it.id} ${it.where} ${it.sql.replaceAll(/\s+/g, ' ').slice(0, 90)}`] : [],
      )
      .join(''),
    steps: reports.flatMap((it) =>
      it.type === 'done' ? [{ ordinal: it.ordinal, id: it.id, statements: it.statements }] : [],
    ),
    ms: Math.round(performance.now() - began),
    phases,
    runs: rig.runs() - runsBefore,
  };
}

/** Who will lead after a failover is known from its plan only. */
function aim(scene: Scene, reports: readonly Report[], rig: Rig): Scene {
  if (scene.argv[0] !== 'failover') return scene;
  const plan = reports.findLast((it) => it.type === 'plan');
  const target =
    plan?.type === 'plan' ? plan.steps.find((step) => step.id.startsWith('promote'))?.node : undefined;
  if (target === undefined) return scene;
  const sibling = rig.names.find((name) => name !== target && name !== scene.leader) ?? scene.sibling;
  return { ...scene, target, sibling };
}

async function acknowledgedMore(ledger: Ledger, count: number): Promise<void> {
  const before = ledger.acknowledged.length;
  const deadline = performance.now() + 10_000;
  while (ledger.acknowledged.length < before + count) {
    if (performance.now() > deadline) throw new Error('no write was acknowledged for 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
