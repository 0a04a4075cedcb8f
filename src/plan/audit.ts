/** The audit file read back: what this machine did, run by run. */
import { readFile } from 'node:fs/promises';
import { auditFile } from './journal.js';

export interface AuditRun {
  readonly operation: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly endedAt: string;
  /** `interrupted`: it neither ended nor failed, and its process is gone. */
  readonly status: 'done' | 'failed' | 'rolled-back' | 'running' | 'interrupted';
  readonly steps: readonly {
    readonly id: string;
    readonly node: string | null;
    /** null: it was begun and never told of again. */
    readonly ms: number | null;
    readonly error: string | null;
  }[];
}

interface Entry {
  readonly at: string;
  readonly pid: number;
  readonly event: string;
  readonly operation?: string;
  readonly step?: string;
  readonly node?: string;
  readonly ms?: number;
  readonly code?: string;
}

/** Newest first, at most `limit`; empty where nothing was ever done. Lines that a crash cut off are passed over. */
export async function readAudit(
  stateDir: string,
  cluster: string,
  limit: number,
): Promise<readonly AuditRun[]> {
  const text = await readFile(auditFile(stateDir, cluster), 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  return auditRuns(text, isAlive).slice(0, limit);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Pure but for `alive`, which tells whether a process is there. Newest first. */
export function auditRuns(text: string, alive: (pid: number) => boolean): readonly AuditRun[] {
  const runs: Entry[][] = [];
  const open = new Map<number, Entry[]>();
  for (const line of text.split('\n')) {
    const entry = parse(line);
    if (entry === undefined) continue;
    let run = open.get(entry.pid);
    if (run === undefined || entry.event === 'begin') {
      run = [];
      runs.push(run);
      open.set(entry.pid, run);
    }
    run.push(entry);
    if (entry.event === 'end') open.delete(entry.pid);
  }
  return runs.map((run) => toRun(run, alive)).reverse();
}

function parse(line: string): Entry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<Entry> | null;
    return typeof entry?.at === 'string' && typeof entry.pid === 'number' && typeof entry.event === 'string'
      ? (entry as Entry)
      : undefined;
  } catch {
    return undefined;
  }
}

function toRun(entries: readonly Entry[], alive: (pid: number) => boolean): AuditRun {
  const [first] = entries;
  const last = entries.at(-1) ?? first;
  const steps = new Map<string, AuditRun['steps'][number]>();
  for (const { event, step, node = null, ms = null, code = null } of entries) {
    if (step === undefined) continue;
    steps.set(step, {
      id: step,
      node,
      ms: event === 'start' || ms === null ? null : Math.round(ms),
      error: event === 'failed' ? code : null,
    });
  }
  const pid = first?.pid ?? 0;
  return {
    operation: entries.find((entry) => entry.operation !== undefined)?.operation ?? 'unknown',
    pid,
    startedAt: first?.at ?? '',
    endedAt: last?.at ?? '',
    status: statusOf(entries, () => alive(pid)),
    steps: [...steps.values()],
  };
}

function statusOf(entries: readonly Entry[], alive: () => boolean): AuditRun['status'] {
  if (entries.some(({ event }) => event === 'rolled-back')) return 'rolled-back';
  const end = entries.find(({ event }) => event === 'end');
  if (end !== undefined)
    return end.code === undefined ? 'done' : end.code === 'interrupted' ? 'interrupted' : 'failed';
  if (entries.some(({ event }) => event === 'failed')) return 'failed';
  return alive() ? 'running' : 'interrupted';
}
