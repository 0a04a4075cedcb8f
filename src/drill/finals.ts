/** What is at each node in the end, by statements of the drill's own. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectionOf } from '../config/connection.js';
import type { TableName } from '../cluster/model.js';
import { openSession } from '../postgres/session.js';
import { groupBy } from './judge/group.js';
import type { FinalLine, StrandedLine } from './history.js';
import { presentSql, rangesOf, stocksSql } from './workload/rows.js';

const ANSWER_MS = 2000;

export interface EpochView {
  readonly epoch: number;
  readonly leader: string;
  readonly previous: string | null;
}

type Urls = Readonly<Record<string, string>>;

const sessionTo = (node: string, url: string) =>
  openSession({
    node,
    connection: connectionOf(url),
    applicationName: 'drill',
    connectTimeoutMs: ANSWER_MS,
    statementTimeoutMs: 30_000,
  });

async function ask<T>(
  node: string,
  url: string,
  body: (session: Awaited<ReturnType<typeof sessionTo>>) => Promise<T>,
) {
  const session = await sessionTo(node, url);
  try {
    return await body(session);
  } finally {
    await session.close();
  }
}

/** The newest epoch that any node knows. Nodes that do not answer are left out. */
export async function newestEpoch(urls: Urls): Promise<EpochView | undefined> {
  const answers = await Promise.allSettled(
    Object.entries(urls).map(([node, url]) =>
      ask(node, url, async (session) => {
        const [row] = await session.query<EpochView>(
          `select epoch::int as epoch, leader, previous_leader as previous from repctl.epoch order by epoch desc limit 1`,
        );
        return row;
      }),
    ),
  );
  return answers
    .flatMap((answer) => (answer.status === 'fulfilled' && answer.value ? [answer.value] : []))
    .reduce<EpochView | undefined>((best, one) => (best && best.epoch >= one.epoch ? best : one), undefined);
}

async function finalOf(node: string, url: string, table: TableName, leader: boolean): Promise<FinalLine> {
  try {
    return await ask(node, url, async (session) => {
      const rows = await session.query<{ client: string; n: number; times: number }>(presentSql(table));
      const [stocks] = await session.query<{ adjusted: number; total: number; digest: string }>(
        stocksSql(table),
      );
      const present = [...groupBy(rows, (row) => row.client)].map(
        ([client, own]) => [client, rangesOf(own.map((row) => row.n))] as const,
      );
      return {
        kind: 'final' as const,
        node,
        leader,
        rows: {
          present: Object.fromEntries(present),
          repeated: rows.filter((row) => row.times > 1).map((row) => [row.client, row.n, row.times] as const),
          adjusted: stocks?.adjusted ?? 0,
          total: stocks?.total ?? 0,
          digest: stocks?.digest ?? '',
        },
      };
    });
  } catch {
    return { kind: 'final', node, leader, rows: null };
  }
}

/** Looks until all nodes have the same rows, or `patienceMs` are over; what was seen last. */
export async function finalsOf(
  urls: Urls,
  table: TableName,
  leader: string,
  patienceMs: number,
): Promise<FinalLine[]> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const finals = await Promise.all(
      Object.entries(urls).map(([node, url]) => finalOf(node, url, table, node === leader)),
    );
    const digests = new Set(finals.map((final) => final.rows?.digest));
    if (digests.size === 1 || Date.now() > deadline) return finals;
    await delay(100);
  }
}

/** The rows of the workload in stranded files below `directory`. */
export function strandedBelow(directory: string, at: number): StrandedLine | undefined {
  const files = readdirSync(directory, { recursive: true })
    .map(String)
    .filter((file) => /stranded-[^/]*\.jsonl$/u.test(file));
  if (files.length === 0) return undefined;
  const found = new Map<string, readonly [string, number]>();
  let changes = 0;
  let conflicts = 0;
  for (const file of files) {
    const text = readFileSync(path.join(directory, file), 'utf8');
    const lines = text.split('\n').filter((line) => line !== '').length;
    if (file.endsWith('.conflicts.jsonl')) {
      conflicts += lines;
      continue;
    }
    // Between a line about the file and one that ends it.
    changes += Math.max(0, lines - 2);
    for (const match of text.matchAll(/D-([ws]\d+)-(\d+)/gu))
      found.set(match[0], [match[1] ?? '', Number(match[2])]);
  }
  return { kind: 'stranded', at, rows: [...found.values()], changes, conflicts };
}
