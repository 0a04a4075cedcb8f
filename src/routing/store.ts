/**
 * What outlives a run: the marks of each session, whose turn it is, who led last. Small JSON files under
 * XDG_STATE_HOME, 0600, replaced atomically; sessions are merged under a lock, so that of two runs at once
 * neither forgets the other's write.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import { EMPTY_SESSION, type Mark, type SessionState, mergeSessions } from './token.js';

/** A hint only: everything in it is found out again when it is wrong. */
export interface Pointer {
  /** The node that served the last read. */
  readonly last?: string;
  /** The leader, when last seen. */
  readonly leader?: string;
}

export interface RoutingStore {
  readSession(name: string): SessionState;
  /** Throws `session-unwritable` (exit 7). */
  addToSession(name: string, add: SessionState): Promise<void>;
  /** Drops marks that a failover cut off, once the reader was told. */
  forget(name: string, marks: readonly Mark[]): Promise<void>;
  readPointer(): Pointer;
  /** Throws `session-unwritable` (exit 7). */
  writePointer(pointer: Pointer): void;
}

const LOCK_WAIT_MS = 3000;
/** A lock is held for a few file operations; one this old was left by a run that was killed. */
const LOCK_STALE_MS = 2000;

/** Throws `session-name` (exit 2) for a name that no file can have. */
export function checkSessionName(name: string): string {
  if (name === '' || name.includes('\0') || Buffer.byteLength(encodeURIComponent(safe(name))) > 200)
    throw new RepctlError('session-name', 'A session name has 1 to about 200 characters.');
  return name;
}

/** encodeURIComponent throws on a lone surrogate; the way through UTF-8 replaces it. */
const safe = (name: string): string => Buffer.from(name).toString();
const fileName = (name: string): string => encodeURIComponent(safe(name)).replaceAll('.', '%2E');

export function openStore(stateDir: string, cluster: string): RoutingStore {
  const directory = path.join(stateDir, 'sessions', fileName(cluster));
  const pointerFile = path.join(directory, 'pointer.json');
  const sessionFile = (name: string): string =>
    path.join(directory, `session-${fileName(checkSessionName(name))}.json`);

  const change = async (name: string, edit: (old: SessionState) => SessionState): Promise<void> => {
    const file = sessionFile(name);
    await writing(file, async () => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const unlock = await lock(`${file}.lock`);
      try {
        replace(file, edit(readSessionFile(file)));
      } finally {
        unlock();
      }
    });
  };
  return {
    readSession: (name) => readSessionFile(sessionFile(name)),
    addToSession: (name, add) => change(name, (old) => mergeSessions(old, add)),
    forget: (name, marks) => {
      const gone = (mark: Mark | null): boolean =>
        mark !== null && marks.some((one) => one.epoch === mark.epoch && one.after === mark.after);
      return change(name, (old) => ({
        ...old,
        written: gone(old.written) ? null : old.written,
        seen: gone(old.seen) ? null : old.seen,
      }));
    },
    readPointer: () => readJson(pointerFile) ?? {},
    writePointer: (pointer) => {
      try {
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        replace(pointerFile, pointer);
      } catch (error) {
        throw unwritable(pointerFile, error);
      }
    },
  };
}

async function writing(file: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    throw error instanceof RepctlError ? error : unwritable(file, error);
  }
}

const unwritable = (file: string, cause: unknown): RepctlError =>
  new RepctlError('session-unwritable', `${file} cannot be written: ${messageOf(cause)}`, {
    exit: EXIT.incomplete,
    hint: 'Free space, or point XDG_STATE_HOME at a directory that can be written.',
    cause,
  });

/** A file that is missing or was cut short by something else than us is no memory at all. */
function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

const LSN = /^[0-9a-f]{1,8}\/[0-9a-f]{1,8}$/i;

function asMark(value: unknown): Mark | null {
  if (typeof value !== 'object' || value === null) return null;
  const { epoch, leader, before, after } = value as Partial<Record<keyof Mark, unknown>>;
  const lsn = (text: unknown): text is string => typeof text === 'string' && LSN.test(text);
  return typeof epoch === 'number' && typeof leader === 'string' && lsn(before) && lsn(after)
    ? { epoch, leader, before, after }
    : null;
}

function readSessionFile(file: string): SessionState {
  const raw = readJson(file);
  if (typeof raw !== 'object' || raw === null) return EMPTY_SESSION;
  const { born, written, seen } = raw as Partial<Record<keyof SessionState, unknown>>;
  return {
    born: typeof born === 'string' ? born : null,
    written: asMark(written),
    seen: asMark(seen),
  };
}

/** Readers see the old file or the new one, never a part. A failed write leaves no file behind. */
function replace(file: string, value: unknown): void {
  const temporary = `${file}.${String(process.pid)}.${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(temporary, `${JSON.stringify(value)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Node has no flock: a file made exclusively. */
async function lock(file: string): Promise<() => void> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { mode: 0o600, flag: 'wx' });
      return () => {
        rmSync(file, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > LOCK_STALE_MS) rmSync(file, { force: true });
      else if (Date.now() > deadline)
        throw new RepctlError('session-locked', `${file} is held by another run.`, { exit: EXIT.incomplete });
      else await delay(5 + Math.random() * 10);
    }
  }
}
