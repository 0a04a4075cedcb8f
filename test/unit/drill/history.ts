/** A history in which everything went well, for tests to plant a fault into. */
import type { FinalLine, History, Line, LookLine, ReadLine, WriteLine } from '../../../src/drill/history.js';
import { sorted } from '../../../src/drill/history.js';

export const insert = (n: number, over: Partial<WriteLine> = {}): WriteLine => ({
  kind: 'write',
  client: 'w1',
  op: 'insert',
  n,
  due: n * 100,
  begin: n * 100,
  end: n * 100 + 10,
  outcome: 'ok',
  node: 'n1',
  epoch: 1,
  lsn: [`0/${(n * 256).toString(16)}`, `0/${(n * 256 + 128).toString(16)}`],
  ...over,
});

export const read = (at: number, top: number, over: Partial<ReadLine> = {}): ReadLine => ({
  kind: 'read',
  client: 'r1',
  session: 'w1',
  level: 'session',
  due: at,
  begin: at,
  end: at + 5,
  outcome: 'ok',
  node: 'n2',
  role: 'replica',
  seen: { w1: [top, top] },
  total: 8000,
  ...over,
});

export const look = (at: number, top: number, over: Partial<LookLine> = {}): LookLine => ({
  kind: 'look',
  node: 'n2',
  begin: at,
  end: at + 2,
  seen: { w1: [top, top] },
  ...over,
});

type Rows = NonNullable<FinalLine['rows']>;

export const final = (node: string, leader: boolean, over: Partial<Rows> = {}): FinalLine => ({
  kind: 'final',
  node,
  leader,
  rows: { present: { w1: [[1, 10]] }, repeated: [], adjusted: 0, total: 8000, digest: 'd', ...over },
});

export const START: Line = { kind: 'start', total: 8000, writers: ['w1'], strays: [] };

/** Ten rows, each read back after it was acknowledged, at n1 and n2 in the end. */
export function sound(): Line[] {
  const writes = Array.from({ length: 10 }, (_, index) => insert(index + 1));
  return [
    START,
    ...writes,
    ...writes.map((write) => read(write.end + 5, write.n)),
    ...writes.map((write) => look(write.end + 1, write.n)),
    final('n1', true),
    final('n2', false),
  ];
}

/** The sound history with lines replaced where `change` gives others; undefined leaves one out. */
export const changed = (change: (line: Line) => Line | undefined): History =>
  sorted(sound().flatMap((line) => change(line) ?? []));
