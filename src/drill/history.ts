/**
 * What a drill records, one JSON object a line (samples.ndjson; docs/drill.md): what clients did and were told, what
 * could be seen at each node, what was done to the servers. Times are milliseconds since the workload began.
 */
import { parseLines } from '../ndjson.js';
import type { ReadLevel } from '../routing/route.js';

export type WriteKind = 'insert' | 'adjust' | 'transfer';

/** `refused`: certainly not done. `unknown`: it may or may not have been done. */
export type Outcome = 'ok' | 'refused' | 'unknown';

export interface WriteLine {
  readonly kind: 'write';
  /** w1, w2, …; s1, s2, … for strays past the routing. Its name is its session's. */
  readonly client: string;
  readonly op: WriteKind;
  /** insert: the row's number, 1, 2, … of this client. Else the client's own count. */
  readonly n: number;
  readonly due: number;
  readonly begin: number;
  readonly end: number;
  readonly outcome: Outcome;
  readonly node?: string;
  readonly epoch?: number;
  /** WAL of that leader: from before the write to its end. */
  readonly lsn?: readonly [string, string];
  /** The error's code where it is not ok. */
  readonly code?: string;
}

/** By writing client: the highest number seen, and how many rows. */
export type Seen = Readonly<Record<string, readonly [top: number, rows: number]>>;

export interface ReadLine {
  readonly kind: 'read';
  readonly client: string;
  /** The writing client whose session this read belongs to. */
  readonly session: string;
  readonly level: ReadLevel;
  readonly due: number;
  readonly begin: number;
  readonly end: number;
  readonly outcome: 'ok' | 'refused';
  readonly node?: string;
  readonly role?: 'leader' | 'replica';
  readonly seen?: Seen;
  /** The stock of all transfer products together. */
  readonly total?: number;
  /** The session was told that something it wrote or saw was lost. */
  readonly told?: boolean;
  readonly code?: string;
}

/** An observer's look at a node, past the proxy. */
export interface LookLine {
  readonly kind: 'look';
  readonly node: string;
  readonly begin: number;
  readonly end: number;
  /** null: it did not answer. */
  readonly seen: Seen | null;
}

/** A step of the schedule; `began` when it was begun, `ended` when it was over. */
export interface StepLine {
  readonly kind: 'step';
  readonly index: number;
  readonly phase: 'began' | 'ended';
  readonly at: number;
  readonly title: string;
  readonly action: string;
  /** The nodes that it was done to. */
  readonly nodes: readonly string[];
  /** Who led when it began. */
  readonly leader: string;
  readonly ok?: boolean;
  readonly exit?: number;
  readonly detail?: string;
}

/** What is at a node in the end. */
export interface FinalLine {
  readonly kind: 'final';
  readonly node: string;
  readonly leader: boolean;
  /** Null where it did not answer. */
  readonly rows: {
    /** By client: numbers of its rows as [from, to] ranges, ascending. */
    readonly present: Readonly<Record<string, readonly (readonly [number, number])[]>>;
    /** Rows that are there more than once: [client, number, times]. */
    readonly repeated: readonly (readonly [string, number, number])[];
    /** How much the adjusted products went up altogether. */
    readonly adjusted: number;
    /** The stock of the transfer products altogether. */
    readonly total: number;
    /** Of every row of the table. */
    readonly digest: string;
  } | null;
}

/** What the workload began with. */
export interface StartLine {
  readonly kind: 'start';
  readonly total: number;
  readonly writers: readonly string[];
  readonly strays: readonly string[];
}

/** Rows that a rejoin saved in a stranded file: they were away for a while even if they are back. */
export interface StrandedLine {
  readonly kind: 'stranded';
  readonly at: number;
  readonly rows: readonly (readonly [client: string, n: number])[];
  readonly changes: number;
  /** Of them, those that a replay did not apply, because their rows had been changed since. */
  readonly conflicts?: number;
}

/** What servers have sent each other through the links since the proxy began. */
export interface TrafficLine {
  readonly kind: 'traffic';
  readonly at: number;
  /** Bytes by the node that sent them. */
  readonly sent: Readonly<Record<string, number>>;
}

/** A command that somebody typed to mend what a game day broke. */
export interface CommandLine {
  readonly kind: 'command';
  readonly at: number;
  /** `failover --yes` */
  readonly words: string;
}

export type Line =
  | StartLine
  | WriteLine
  | ReadLine
  | LookLine
  | StepLine
  | StrandedLine
  | TrafficLine
  | CommandLine
  | FinalLine;

/** Reads samples.ndjson; a last line that was cut short is left out. */
export const parseHistory = (text: string): Line[] => parseLines<Line>(text);

/** A history by kind of line, in the order recorded. */
export interface History {
  readonly start: StartLine | undefined;
  readonly writes: readonly WriteLine[];
  readonly reads: readonly ReadLine[];
  readonly looks: readonly LookLine[];
  readonly steps: readonly StepLine[];
  readonly stranded: readonly StrandedLine[];
  readonly traffic: readonly TrafficLine[];
  readonly commands: readonly CommandLine[];
  readonly finals: readonly FinalLine[];
}

export function sorted(lines: readonly Line[]): History {
  const of = <Kind extends Line['kind']>(kind: Kind): Extract<Line, { kind: Kind }>[] =>
    lines.filter((line): line is Extract<Line, { kind: Kind }> => line.kind === kind);
  return {
    start: of('start')[0],
    writes: of('write'),
    reads: of('read'),
    looks: of('look'),
    steps: of('step'),
    stranded: of('stranded'),
    traffic: of('traffic'),
    commands: of('command'),
    finals: of('final'),
  };
}
