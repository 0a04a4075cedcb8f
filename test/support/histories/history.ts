/** One history from its seed to its verdict. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { nodeOf } from '../../../src/sandbox/sandbox.js';
import { type World, act } from './act.js';
import { type GenerateOptions, type History, generate } from './generate.js';
import { judge } from './judge.js';
import { type Transaction, newLedger } from './ledger.js';
import { mend } from './mend.js';
import type { Program } from './program.js';
import { randomOf } from './random.js';
import { noReader, startReader } from './reader.js';
import { type Stage, TABLES, connect } from './stage.js';
import { startWatcher } from './watcher.js';
import { startWriter } from './writer.js';

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  /** What happened, for whoever reads a failure. */
  readonly log: readonly string[];
  readonly ms: number;
  readonly acknowledged: number;
  readonly lost: number;
  /** Of those lost: announced by an epoch's fork point; found in a stranded file; thrown away on request; never flushed. */
  readonly announced: number;
  readonly stranded: number;
  readonly discarded: number;
  readonly unflushed: number;
  readonly epochs: number;
  readonly reads: number;
  /** Transactions of 64 MB and more that were acknowledged. */
  readonly big: number;
  /** Whether a parallel apply worker was seen. */
  readonly parallel: boolean;
  /** Transactions whose commit waited for replicas before it was acknowledged. */
  readonly waited: number;
  readonly events: Readonly<Record<string, number>>;
}

/** The figures of many histories in one; `histories` with a violation are counted as `violated`. Pure. */
export function totals(outcomes: readonly Outcome[]): Readonly<Record<string, unknown>> {
  const sum = (value: (one: Outcome) => number): number =>
    outcomes.reduce((whole, one) => whole + value(one), 0);
  const kinds = [...new Set(outcomes.flatMap(({ events }) => Object.keys(events)))].sort();
  return {
    histories: outcomes.length,
    violated: outcomes.filter(({ violations }) => violations.length > 0).map(({ seed }) => seed),
    acknowledged: sum((one) => one.acknowledged),
    lost: sum((one) => one.lost),
    announced: sum((one) => one.announced),
    stranded: sum((one) => one.stranded),
    discarded: sum((one) => one.discarded),
    unflushed: sum((one) => one.unflushed),
    leaderChanges: sum((one) => one.epochs - 1),
    reads: sum((one) => one.reads),
    withBig: outcomes.filter(({ big }) => big > 0).length,
    withParallelApply: outcomes.filter(({ parallel }) => parallel).length,
    withSync: outcomes.filter(({ waited }) => waited > 0).length,
    waited: sum((one) => one.waited),
    events: Object.fromEntries(kinds.map((kind) => [kind, sum(({ events }) => events[kind] ?? 0)])),
  };
}

export interface PlayOptions {
  readonly stage: Stage;
  readonly program: Program;
  /** How long the cluster may take to become healthy in the end, milliseconds; default 240 s. */
  readonly patienceMs?: number;
}

export const playSeed = (
  seed: number,
  options: PlayOptions,
  generating: Omit<GenerateOptions, 'commands'> = {},
): Promise<Outcome> => play(generate(seed, { commands: options.program.commands, ...generating }), options);

/** Plays a history on fresh databases. Throws only when the harness itself fails. */
export async function play(
  history: History,
  { stage, program, patienceMs = 240_000 }: PlayOptions,
): Promise<Outcome> {
  const start = performance.now();
  const log: string[] = [];
  const say = (line: string): void =>
    void log.push(`${((performance.now() - start) / 1000).toFixed(2).padStart(6)}  ${line}`);
  const majors = history.nodes.map(
    (name) =>
      `${name} (${nodeOf(stage.sandbox, name).major}${history.synchronousCommit.get(name) === 'off' ? ', synchronous_commit=off' : ''})`,
  );
  say(
    `seed ${String(history.seed)}: ${majors.join(', ')}; ${String(history.writers)} writers, pause ≤ ${String(history.pauseMs)} ms${history.inside ? ', one past the proxy' : ''}`,
  );

  await stage.reset(history.nodes, history.synchronousCommit);
  const home = mkdtempSync(path.join(tmpdir(), 'repctl-history-'));
  chmodSync(home, 0o700);
  writeConfig(home, configOf(stage, history, 5000));
  const created = await program.run(['cluster', 'create', '--yes'], home);
  if (created.code !== 0) throw new Error(`cluster create: ${created.stderr}`);
  // On a quiet machine it takes less than two seconds; a busy one shall not make nodes look as if they were gone.
  const config = configOf(stage, history, Math.min(5000, Math.max(700, Math.round(created.ms / 3))));
  writeConfig(home, config);
  say(
    `cluster create took ${String(created.ms)} ms: nodes get ${String(config.connectTimeoutMs)} ms to answer`,
  );

  const ledger = newLedger();
  const watcher = startWatcher(stage, history.nodes);
  const random = randomOf(history.seed + 0x5eed);
  const through = new Map(config.nodes.map((node) => [node.name, node.url]));
  const past = new Map(history.nodes.map((name) => [name, nodeOf(stage.sandbox, name).directUrl]));
  const writers = Array.from({ length: history.writers }, (_, index) =>
    startWriter({
      urls: history.inside && index === 0 ? past : through,
      ledger,
      random: randomOf(random.int(0, 2 ** 31)),
      pauseMs: history.pauseMs,
    }),
  );
  // Without writers nobody writes at all.
  const reader = history.writers === 0 ? noReader : startReader(config, home, history.pauseMs * 2);
  const world: World = {
    stage,
    program,
    history,
    home,
    watcher,
    writers,
    log: say,
    patienceMs,
    violations: [],
    counts: new Map(),
    undo: new Set(),
    crashes: [],
    down: [],
    discarded: new Set(),
    promised: new Set(),
  };
  try {
    for (const event of history.events) await act(world, event);
    const healthy = await mend(world);
    // Some writes on the healed cluster.
    if (healthy) await delay(50);
    else await letGo(world);
    await Promise.all([reader.stop(), ...writers.map((writer) => writer.stop())]);
    const { violations, ...figures } = await judge(world, ledger, healthy);
    // A position that was answered before it was flushed is given out a second time after a crash.
    const forgetful = world.crashes.some(({ node }) => history.synchronousCommit.get(node) === 'off');
    const tokens = forgetful ? [] : reader.violations;
    const acknowledged = ledger.transactions.filter((one) => one.outcome === 'acknowledged');
    return {
      seed: history.seed,
      violations: [...world.violations, ...watcher.violations, ...tokens, ...violations],
      log,
      ms: Math.round(performance.now() - start),
      acknowledged: acknowledged.length,
      ...figures,
      epochs: watcher.epoch(),
      reads: reader.counts.reads,
      big: acknowledged.filter((one) => bytesOf(one) >= 64 * 2 ** 20).length,
      parallel: watcher.parallel(),
      waited: acknowledged.filter((one) => one.waits === true).length,
      events: Object.fromEntries([...world.counts].sort()),
    };
  } finally {
    await Promise.all([reader.stop(), ...writers.map((writer) => writer.stop())]);
    await watcher.stop();
    for (const undo of [...world.undo]) await undo().catch(() => undefined);
    rmSync(home, { recursive: true, force: true });
  }
}

const bytesOf = ({ changes }: Transaction): number =>
  changes.reduce((sum, change) => sum + (change.kind === 'bulk' ? change.count * change.size : 0), 0);

/** Short timeouts: a node that is cut off costs each command one of them. */
function configOf(stage: Stage, history: History, connectTimeoutMs: number): ClusterConfig {
  const nodes = history.nodes.flatMap((name) => stage.config.nodes.filter((node) => node.name === name));
  return {
    ...stage.config,
    nodes,
    tables: [...TABLES],
    connectTimeoutMs,
    statementTimeoutMs: 8000,
    drainTimeoutMs: 3000,
  };
}

function writeConfig(home: string, config: ClusterConfig): void {
  const file = {
    cluster: config.cluster,
    tables: config.tables,
    nodes: Object.fromEntries(
      config.nodes.map(({ name, url, replicationUrl }) => [name, { url, replicationUrl }]),
    ),
    connectTimeout: config.connectTimeoutMs / 1000,
    statementTimeout: config.statementTimeoutMs / 1000,
    drainTimeout: config.drainTimeoutMs / 1000,
  };
  writeFileSync(path.join(home, 'repctl.yaml'), JSON.stringify(file), { mode: 0o600 });
}

/** Clients whose commits wait for replicas that nobody brought back would be waited for until the end of time. */
async function letGo({ history, stage }: World): Promise<void> {
  for (const name of history.nodes) {
    const admin = await connect(nodeOf(stage.sandbox, name).superuserUrl).catch(() => undefined);
    await admin?.query(`select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`);
    await admin?.end();
  }
}
