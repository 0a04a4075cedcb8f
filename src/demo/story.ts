/** The demo from the first server to the last figure. */
import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RepctlError } from '../errors.js';
import { formatCount, formatDuration } from '../ui/format.js';
import { type Urls, countCopied, countKept, writeAstray, writeCsv } from './data.js';
import { type Write, acknowledged, byNode, firstAfter, longestGap, parseRecord, rate } from './ledger.js';
import type { Stage } from './stage.js';
import type { Figures } from './summary.js';

const PRODUCTS = 10_000;
const PAUSE_MS = 5;
/** Writes seen before the story goes on. */
const ENOUGH = 150;
/** Rows that a client changes on the old leader after the failover. */
const ASTRAY = 3;
const LONGEST_WAIT_MS = 20_000;

interface Writer {
  record(): Promise<Write[]>;
  stop(): Promise<void>;
}

/** Tells and does it all; what it leaves running, the stage clears. Throws what the stage throws. */
export async function play(
  stage: Stage,
  writerProgram: string,
): Promise<Omit<Figures, 'removedMs' | 'totalMs'>> {
  stage.heading('Four PostgreSQL servers');
  stage.say('One leader and three replicas on this machine: real servers, native logical replication.');
  await stage.repctl(['sandbox', 'up', '--nodes', '4']);

  stage.heading('Products');
  await writeCsv(path.join(stage.directory, 'products.csv'), PRODUCTS);
  stage.say(
    `A file of ${formatCount(PRODUCTS)} products goes to the leader, and from there to every replica.`,
  );
  await stage.repctl(['product', 'import', 'products.csv']);
  await stage.repctl(['product', 'list', '--limit', '3']);

  stage.heading('How it stands');
  await stage.repctl(['status']);
  const urls = nodeUrls(await stage.ask(['sandbox', 'env']));

  const writer = startWriter(stage, writerProgram, urls);
  try {
    const before = await waitFor(writer, stage, (writes) => acknowledged(writes).length >= ENOUGH);
    stage.say(
      `From here on a client writes, ${rate(before).toFixed(0)} rows a second, each after the answer to the last. It knows the nodes and nothing else. How long does a row take until it is visible on the replicas?`,
    );
    await stage.repctl(['lag', '--probe']);

    stage.heading('The leader dies');
    stage.say('kill -9 of n1, every process, while the client writes.');
    const kill = await stage.repctl(['sandbox', 'kill', 'n1']);
    const failover = await stage.repctl(['failover', '--yes']);

    const after = await waitFor(
      writer,
      stage,
      (writes) => acknowledged(writes).filter((write) => write.endedAt > failover.startedAt).length >= ENOUGH,
    );
    const first = firstAfter(after, failover.startedAt);
    stage.say(
      `The client goes on at ${first?.node ?? '?'}, at ${rate(after.filter((write) => write.node === first?.node)).toFixed(0)} rows a second. The two other replicas follow the new leader; the client still writes.`,
    );
    // Exit 4: n1 is still dead, and status says so.
    await stage.repctl(['status'], [4]);

    stage.heading('The old leader comes back');
    await stage.repctl(['sandbox', 'start', 'n1']);
    const astray = await writeAstray(urls['n1'] ?? '', ASTRAY);
    stage.say(
      `It knows nothing of the new leader, and a client that does not either has just changed ${String(astray)} rows there.`,
    );
    await stage.repctl(['status'], [4]);
    stage.say(
      'It is fenced, what only it has goes to a file, and its rows are set right. No table is copied.',
    );
    await stage.repctl(['rejoin', 'n1', '--yes']);

    stage.heading('Home again');
    stage.say('A planned change of the leader, while the client writes: nothing is lost.');
    const home = await stage.repctl(['switchover', 'n1', '--yes']);
    await waitFor(
      writer,
      stage,
      (writes) =>
        acknowledged(writes).filter((write) => write.node === 'n1' && write.endedAt > home.startedAt)
          .length >= ENOUGH,
    );

    stage.heading('Are they equal?');
    stage.say('Every row of every replica against the leader, while the client writes.');
    const replicas = Object.keys(urls).filter((name) => name !== 'n1' && name !== first?.node);
    await stage.repctl(['check']);
    await writer.stop();

    stage.heading('What happened');
    await stage.repctl(['history']);

    return await measure({
      urls,
      writes: await writer.record(),
      replicas,
      killedAt: kill.startedAt,
      failoverAt: failover.startedAt,
      homeAt: home.startedAt,
    });
  } finally {
    await writer.stop();
  }
}

interface Ground {
  readonly urls: Urls;
  readonly writes: readonly Write[];
  readonly replicas: readonly string[];
  readonly killedAt: number;
  readonly failoverAt: number;
  /** When the switchover back was typed. */
  readonly homeAt: number;
}

/** The figures of the summary, from the writer's record and from the databases. */
async function measure({
  urls,
  writes,
  replicas,
  killedAt,
  failoverAt,
  homeAt,
}: Ground): Promise<Omit<Figures, 'removedMs' | 'totalMs'>> {
  const gap = longestGap(writes.filter((write) => write.endedAt > killedAt - 1000 && write.endedAt < homeAt));
  const homeGap = longestGap(writes.filter((write) => write.endedAt > homeAt));
  const first = firstAfter(writes, failoverAt);
  if (gap === undefined || first === undefined || homeGap === undefined)
    throw new RepctlError('demo-failed', 'The client never wrote again.', { exit: 1 });
  const leaderUrl = urls['n1'] ?? '';
  const numbers = (result: Write['result']): number[] =>
    writes.filter((write) => write.result === result).map((write) => write.n);
  const acks = numbers('acknowledged');
  const unknown = numbers('unknown');
  const kept = await countKept(leaderUrl, acks);
  const copied = await Promise.all(replicas.map((name) => countCopied(urls[name] ?? '')));
  return {
    acknowledged: acks.length,
    byNode: byNode(writes),
    kept,
    lost: acks.length - kept,
    unknown: unknown.length,
    unknownKept: await countKept(leaderUrl, unknown),
    withoutWritesMs: gap.ms,
    switchoverMs: homeGap.ms,
    failoverToWriteMs: first.endedAt - failoverAt,
    copied: copied.reduce((sum, rows) => sum + rows, 0),
    replicas,
  };
}

/** `{"REPCTL_URL_N1": "postgres://…"}` → `{ n1: 'postgres://…' }` */
function nodeUrls(environment: unknown): Urls {
  return Object.fromEntries(
    Object.entries(environment as Record<string, string>).map(([key, url]) => [
      key.replace(/^REPCTL_URL_/, '').toLowerCase(),
      url,
    ]),
  );
}

function startWriter(stage: Stage, program: string, urls: Urls): Writer {
  const file = path.join(stage.directory, 'writes.ndjson');
  const env = Object.fromEntries(
    Object.entries(urls).map(([name, url]) => [`REPCTL_URL_${name.toUpperCase()}`, url]),
  );
  const child = stage.background(program, [file, String(PAUSE_MS)], env);
  const ended = new Promise<void>((resolve) =>
    child.once('close', () => {
      resolve();
    }),
  );
  return {
    record: async () => parseRecord(await readFile(file, 'utf8').catch(() => '')),
    async stop() {
      endOf(child);
      await ended;
    },
  };
}

function endOf(child: ChildProcess): void {
  child.stdin?.end();
}

/** Throws `demo-failed` when the writes do not come, and when the demo is interrupted. */
async function waitFor(
  writer: Writer,
  stage: Stage,
  enough: (writes: readonly Write[]) => boolean,
): Promise<Write[]> {
  const deadline = Date.now() + LONGEST_WAIT_MS;
  for (;;) {
    const writes = await writer.record();
    if (enough(writes)) return writes;
    if (Date.now() > deadline)
      throw new RepctlError(
        'demo-failed',
        `The client got no answer for ${formatDuration(LONGEST_WAIT_MS)}.`,
        { exit: 1 },
      );
    await delay(50, undefined, { signal: stage.interrupted });
  }
}
