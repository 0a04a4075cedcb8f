/**
 * The sandwich: whether a row that differed is different, or was only on its way.
 *
 * Read it on the leader (A), take the leader's insert position, wait until the replica has made everything up to
 * it visible, read it there (B), read the leader again (C). B = A or B = C: in flight. A = C, unchanged in
 * between, and B is something else: it differs. Everything else is read once more.
 *
 * A verdict against a replica takes two such rounds in a row that saw the same. One would not do: a transaction
 * reaches replicas when its commit record is flushed, which is before it is visible on the leader itself (with
 * synchronous replication, long before), and a row that is absent twice may have come and gone in between.
 * What is still open at the end is *undecided*: neither equal nor a difference.
 */
import type { RowReading } from './blocks.js';

export type DifferenceKind = 'missing' | 'extra' | 'differing';

/** A row that one side has otherwise than the other. */
export interface JudgedRow {
  readonly key: string;
  readonly kind: DifferenceKind;
  /** False: undecided, what was seen last. */
  readonly proven: boolean;
  readonly leader: RowReading | null;
  readonly node: RowReading | null;
}

export interface Judgement {
  readonly inFlight: number;
  /** Proven first, then undecided ones. */
  readonly rows: readonly JudgedRow[];
}

export interface SandwichReads {
  /** Rows that are there, by key. `values` asks for the columns' texts. */
  readonly leader: (keys: readonly string[], values: boolean) => Promise<ReadonlyMap<string, RowReading>>;
  readonly node: (keys: readonly string[], values: boolean) => Promise<ReadonlyMap<string, RowReading>>;
  /** Takes the leader's position and waits until the replica shows everything up to it; false: it did not. */
  readonly caughtUp: () => Promise<boolean>;
}

export interface SandwichOptions {
  /** How often a row is read before it counts as undecided. */
  readonly rounds?: number;
  /** How many rows are read with their values, and of which kind alone. */
  readonly samples?: number;
  readonly only?: DifferenceKind | undefined;
  /** Rows without a key; see {@link kindOf}. */
  readonly counted?: boolean;
}

/** What one sandwich says of one row; pure. */
export function decide(
  a: RowReading | undefined,
  b: RowReading | undefined,
  c: RowReading | undefined,
): 'in-flight' | 'suspect' | 'open' {
  if (b?.hash === a?.hash || b?.hash === c?.hash) return 'in-flight';
  return a?.hash === c?.hash && a?.version === c?.version ? 'suspect' : 'open';
}

/** Missing on the replica, extra there, or differing; `counted` rows have no key, their hash is how many there are. */
export function kindOf(
  leader: RowReading | undefined,
  node: RowReading | undefined,
  counted = false,
): DifferenceKind {
  if (counted) return Number(node?.hash ?? 0) < Number(leader?.hash ?? 0) ? 'missing' : 'extra';
  if (!node) return 'missing';
  return leader ? 'differing' : 'extra';
}

interface Suspicion {
  readonly leader: RowReading | undefined;
  readonly node: RowReading | undefined;
}

const same = (one: Suspicion, other: Suspicion): boolean =>
  one.leader?.hash === other.leader?.hash &&
  one.leader?.version === other.leader?.version &&
  one.node?.hash === other.node?.hash;

/** Judges rows that differed at first sight. Throws what the reads throw. */
export async function sandwich(
  keys: readonly string[],
  reads: SandwichReads,
  options: SandwichOptions = {},
): Promise<Judgement> {
  const { rounds = 8, samples = 0, counted = false, only } = options;
  const isOfKind = (seen: Suspicion | undefined): boolean =>
    seen !== undefined && (only === undefined || kindOf(seen.leader, seen.node, counted) === only);
  const judged = (key: string, { leader, node }: Suspicion, isProven: boolean): JudgedRow => ({
    key,
    kind: kindOf(leader, node, counted),
    proven: isProven,
    leader: leader ?? null,
    node: node ?? null,
  });
  let open = [...keys];
  let inFlight = 0;
  const proven: JudgedRow[] = [];
  const last = new Map<string, Suspicion>();
  const suspected = new Map<string, Suspicion>();
  let reached = true;
  // A replica that does not catch up is read once: what is equal now is settled, the rest stays open.
  for (let round = 0; round < rounds && open.length > 0 && reached; round += 1) {
    // The values must be those that are judged, so they are read along in the rounds that may prove something.
    const shown = round === 0 ? [] : open.filter((key) => isOfKind(suspected.get(key))).slice(0, samples);
    const isShown = new Set(shown);
    const plain = shown.length === 0 ? open : open.filter((key) => !isShown.has(key));
    const read = async (from: SandwichReads['leader']) =>
      new Map([
        ...(plain.length > 0 ? await from(plain, false) : []),
        ...(shown.length > 0 ? await from(shown, true) : []),
      ]);
    const a = await read(reads.leader);
    reached = await reads.caughtUp();
    const b = await read(reads.node);
    const c = await read(reads.leader);
    const next: string[] = [];
    for (const key of open) {
      const seen: Suspicion = { leader: c.get(key), node: b.get(key) };
      last.set(key, seen);
      const verdict = decide(a.get(key), b.get(key), c.get(key));
      const before = suspected.get(key);
      if (verdict === 'in-flight') inFlight += 1;
      else if (verdict === 'suspect' && reached && before && same(before, seen))
        proven.push(judged(key, seen, true));
      else {
        next.push(key);
        if (verdict === 'suspect' && reached) suspected.set(key, seen);
        else suspected.delete(key);
      }
    }
    open = next;
  }
  const left = Math.max(0, samples - proven.filter(({ kind }) => (only ?? kind) === kind).length);
  const shown = open.filter((key) => isOfKind(last.get(key))).slice(0, left);
  if (shown.length > 0) {
    const [leader, node] = [await reads.leader(shown, true), await reads.node(shown, true)];
    for (const key of shown) last.set(key, { leader: leader.get(key), node: node.get(key) });
  }
  const nothing: Suspicion = { leader: undefined, node: undefined };
  const undecided = open.map((key) => judged(key, last.get(key) ?? nothing, false));
  return { inFlight, rows: [...proven, ...undecided] };
}

/** As {@link sandwich}, where both sides see one snapshot each of the same moment: one look tells. */
export async function comparedOnce(
  keys: readonly string[],
  reads: Pick<SandwichReads, 'leader' | 'node'>,
  { samples = 0, counted = false }: SandwichOptions = {},
): Promise<Judgement> {
  const read = async (from: SandwichReads['leader']) => {
    const [shown, plain] = [keys.slice(0, samples), keys.slice(samples)];
    return new Map([
      ...(shown.length > 0 ? await from(shown, true) : []),
      ...(plain.length > 0 ? await from(plain, false) : []),
    ]);
  };
  const [leader, node] = await Promise.all([read(reads.leader), read(reads.node)]);
  const rows = keys.flatMap((key): JudgedRow[] => {
    const [ours, theirs] = [leader.get(key), node.get(key)];
    if (ours?.hash === theirs?.hash) return [];
    const kind = kindOf(ours, theirs, counted);
    return [{ key, kind, proven: true, leader: ours ?? null, node: theirs ?? null }];
  });
  return { inFlight: keys.length - rows.length, rows };
}
