/**
 * The workload, a process of its own, so that what the runner does never delays a client: real clients that write and
 * read at a given rate and write down what they were told, one line of JSON each on stdout (history.ts).
 *
 *   node dist/drill/workload/main.js      the task as a line of JSON on stdin (model.ts), later `stop`
 *
 * It ends when its stdin closes, also when the process that started it is gone. Ctrl-C is left to that one.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../errors.js';
import { randomFrom } from '../../random.js';
import { memoryStore } from '../../routing/memory-store.js';
import { openPooledFleets } from '../../routing/pooled-fleet.js';
import type { Line, WriteKind, WriteLine } from '../history.js';
import { type ClientWorld, sendRead, sendWrite } from './clients.js';
import { look, openDirect, sendStray } from './direct.js';
import { type Task, clientNames, clock } from './model.js';
import { openHttp } from './http.js';
import { keepPace } from './pace.js';
import { totalOfTransfers } from './rows.js';

/** How long operations under way may take after the end; what hangs longer is cut off. */
const LAST_MS = 15_000;

const say = (line: Line): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

async function play(task: Task, stop: AbortSignal, cut: AbortSignal): Promise<void> {
  const { workload, config, table } = task;
  const next = randomFrom(task.seed + 1);
  const fleets = openPooledFleets(
    { ...config, statementTimeoutMs: workload.timeout },
    {
      size: workload.pool.size,
      overflow: workload.pool.overflow,
      timeoutMs: workload.pool.timeout,
      prePing: workload.pool.prePing,
    },
    { applicationName: 'drill' },
  );
  const now = (): number => clock() - task.originMs;
  const world: ClientWorld = { config, table, fleets, store: memoryStore(), now, random: next };
  const http =
    task.http === undefined
      ? undefined
      : openHttp({ ...task.http, timeout: workload.timeout, now, random: next });
  const writers = clientNames('w', workload.writers.clients);
  const strays = clientNames('s', workload.stray?.clients ?? 0);
  const all = [...writers, ...strays];
  say({ kind: 'start', total: totalOfTransfers, writers, strays });

  const { insert, adjust, transfer } = workload.mix;
  const kinds: readonly WriteKind[] = [
    ...Array<WriteKind>(insert).fill('insert'),
    ...Array<WriteKind>(adjust).fill('adjust'),
    // A transfer is two changes in one transaction: nothing that the products API has.
    ...Array<WriteKind>(http === undefined ? transfer : 0).fill('transfer'),
  ];
  const counted = new Map<string, number>();
  const count = (key: string): number => {
    const n = (counted.get(key) ?? 0) + 1;
    counted.set(key, n);
    return n;
  };
  /** Writes under way, by client: what becomes of one that is cut off, nobody knows. */
  const underWay = new Map<string, Omit<WriteLine, 'end' | 'outcome'>>();
  cut.addEventListener('abort', () => {
    for (const begun of underWay.values()) say({ ...begun, end: now(), outcome: 'unknown', code: 'cut-off' });
  });
  await delay(Math.max(0, -now()));
  const writing = writers.map((client, index) =>
    keepPace(workload.writers, index, now, stop, async (due) => {
      const op = kinds[Math.floor(next() * kinds.length)] ?? 'insert';
      const n = count(`${client} ${op}`);
      underWay.set(client, { kind: 'write', client, op, n, due, begin: now() });
      const line =
        http === undefined || op === 'transfer'
          ? await sendWrite(world, client, op, n, due)
          : await http.write(client, op, n, due);
      underWay.delete(client);
      say(line);
      // Refused at once: a client that got no for an answer breathes before the next.
      if (line.outcome !== 'ok') await delay(5);
    }),
  );
  const { levels } = workload.readers;
  const reading = clientNames('r', workload.readers.clients).map((client, index) => {
    const session = writers[index % Math.max(1, writers.length)] ?? client;
    const level = levels[index % levels.length] ?? 'session';
    return keepPace(workload.readers, index, now, stop, async (due) => {
      say(
        http === undefined
          ? await sendRead(world, client, session, level, writers, due)
          : await http.read(client, session, level, due),
      );
    });
  });
  const directs = Object.entries(task.direct).map(([node, url]) => ({
    node,
    direct: openDirect(url, 'drill observer'),
  }));
  const observing = directs.map(async ({ node, direct }) => {
    while (!stop.aborted) {
      const line = await look(direct, node, table, all, now);
      say(line);
      await delay(Math.max(0, task.lookMs - (line.end - line.begin)), undefined, { signal: stop }).catch(
        () => undefined,
      );
    }
    direct.close();
  });
  const stray = workload.stray;
  const straying = strays.map(async (client, index) => {
    if (stray === undefined) return;
    const direct = openDirect(task.direct[stray.node] ?? '', 'drill stray');
    await keepPace(stray, index, now, stop, async (due) => {
      say(await sendStray(direct, stray.node, table, client, count(`${client} insert`), due, now));
    });
    direct.close();
  });
  await Promise.all([...writing, ...reading, ...observing, ...straying]);
  http?.close();
  await fleets.close();
}

process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
process.stdout.on('error', () => process.exit(1));
const stop = new AbortController();
const cut = new AbortController();
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line === 'stop') {
    stop.abort();
    setTimeout(() => {
      cut.abort();
      process.stdout.write('', () => process.exit(0));
    }, LAST_MS).unref();
    return;
  }
  play(JSON.parse(line) as Task, stop.signal, cut.signal).then(
    // Sessions that nobody waits for may still hang: everything is written down by now.
    () => process.stdout.write('', () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${messageOf(error)}\n`);
      process.exit(1);
    },
  );
});
lines.on('close', () => {
  if (!stop.signal.aborted) process.exit(0);
});
