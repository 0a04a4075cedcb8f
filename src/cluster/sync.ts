/**
 * Sync mode: what commits on the leader wait for. Two things say so and must agree: the leader's
 * synchronous_standby_names, which makes them wait, and the newest repctl.event of kind `sync`, which travels to
 * the replicas and is what a failover can still read when the leader is gone. Pure.
 *
 * Order of changes, so that the record never promises what was not kept. A record (k, names) is true for a commit
 * that was acknowledged under a setting whose names are among the record's and whose k is at least the record's.
 * So a change goes by the weaker of both: record min(k) of all names, then the setting, then the record as wanted.
 */
import { currentEpoch, reachableLeader, reachableNodes, senderFor } from './epochs.js';
import type { EventRow, ReachableNode, Snapshot, SyncModeName, SyncRecord } from './model.js';

/** What is asked for. `k` counts for `any` alone. */
export type SyncRequest =
  { readonly mode: 'async' } | { readonly mode: 'any'; readonly k: number } | { readonly mode: 'all' };

/** How many of which replicas must confirm a commit; k = 0: none. */
export interface Quorum {
  readonly k: number;
  readonly names: readonly string[];
}

export const NO_QUORUM: Quorum = { k: 0, names: [] };

/** `any 1`, `all`, `async`. */
export const syncText = ({ mode, k }: { readonly mode: SyncModeName; readonly k: number }): string =>
  mode === 'any' ? `any ${String(k)}` : mode;

/** A row of repctl.event → the record. What cannot be read counts as a record of nothing: it promises nothing. */
export function toSyncRecord({ epoch, at, details }: Pick<EventRow, 'epoch' | 'at' | 'details'>): SyncRecord {
  const { mode, k, names } = details;
  const known = mode === 'any' || mode === 'all';
  return {
    mode: known ? mode : 'async',
    k: known && typeof k === 'number' ? k : 0,
    names: known && Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [],
    epoch,
    at: new Date(at).toISOString(),
  };
}

/** The newest record that any reachable node has; undefined when the mode was never set. */
export function syncRecord(snapshot: Snapshot): SyncRecord | undefined {
  return reachableNodes(snapshot)
    .flatMap((node) => node.syncRecord ?? [])
    .reduce<SyncRecord | undefined>(
      (best, one) =>
        best === undefined || one.epoch > best.epoch || (one.epoch === best.epoch && one.at > best.at)
          ? one
          : best,
      undefined,
    );
}

/** The value of synchronous_standby_names for a quorum; '' for none. Names are quoted: `any` is a word there. */
export const settingOf = ({ k, names }: Quorum): string =>
  k === 0
    ? ''
    : `ANY ${String(k)} (${[...names]
        .sort()
        .map((name) => `"${name}"`)
        .join(', ')})`;

/** A setting as repctl writes it; undefined for any other (FIRST, a physical standby's list), NO_QUORUM for ''. */
export function quorumOf(setting: string): Quorum | undefined {
  if (setting.trim() === '') return NO_QUORUM;
  const match = /^\s*any\s+(\d+)\s*\(([^()]*)\)\s*$/iu.exec(setting);
  if (!match) return undefined;
  const names = (match[2] ?? '').split(',').map((name) => name.trim().replace(/^"(.*)"$/u, '$1'));
  return names.every((name) => /^[a-z][a-z0-9_]*$/u.test(name))
    ? { k: Number(match[1]), names: names.toSorted() }
    : undefined;
}

export const sameQuorum = (a: Quorum, b: Quorum): boolean => settingOf(a) === settingOf(b);

/**
 * Whom commits wait for when `leader` leads and `attached` follow it. `any K` keeps its K: with fewer replicas
 * commits wait until enough are there, which is what was asked for. `all` means all that follow, at least one.
 */
export function quorumFor(
  { mode, k }: { readonly mode: SyncModeName; readonly k: number },
  attached: readonly string[],
  others: readonly string[],
): Quorum {
  if (mode === 'async' || others.length === 0) return NO_QUORUM;
  const wanted = mode === 'all' ? Math.max(1, attached.length) : k;
  return { k: wanted, names: (attached.length >= wanted ? attached : others).toSorted() };
}

/** What a record must say while the setting goes from one quorum to another. */
export const weakerOf = (a: Quorum, b: Quorum): Quorum => {
  const k = Math.min(a.k, b.k);
  return k === 0 ? NO_QUORUM : { k, names: [...new Set([...a.names, ...b.names])].toSorted() };
};

/** What `repctl sync` and `status` show. */
export interface SyncState {
  readonly epoch: number;
  readonly leader: string;
  readonly mode: SyncModeName;
  /** How many replicas must confirm a commit; 0 when async. */
  readonly k: number;
  /** Among whom. */
  readonly names: readonly string[];
  /** synchronous_standby_names of the leader; null while it does not answer. */
  readonly setting: string | null;
  /** Those that the setting names and that stream from the leader. */
  readonly connected: readonly string[];
  /** Sessions of the leader whose commit waits now; null while it does not answer. */
  readonly waiting: number | null;
  /** Whether setting and record say the same; null while the leader does not answer. */
  readonly agrees: boolean | null;
}

/** Undefined before `create`. */
export function syncState(snapshot: Snapshot): SyncState | undefined {
  const current = currentEpoch(snapshot);
  if (current === undefined) return undefined;
  const record = syncRecord(snapshot);
  const leader = reachableLeader(snapshot);
  const { mode, k, names } = record ?? { mode: 'async' as const, k: 0, names: [] };
  const setting = leader === undefined ? null : (leader.settings['synchronous_standby_names'] ?? '');
  const counted = setting === null ? names : (quorumOf(setting)?.names ?? names);
  return {
    epoch: current.epoch,
    leader: current.leader,
    mode,
    k,
    names,
    setting,
    connected: leader === undefined ? [] : counted.filter((name) => streams(leader, name)),
    waiting: leader === undefined ? null : (leader.syncWaiting ?? 0),
    agrees: setting === null ? null : setting === settingOf({ k, names }),
  };
}

/** The synchronous_commit of a node where commits wait for no replica whatever the sync mode is; undefined where they do. */
export function commitsForNobody({ settings }: ReachableNode): 'off' | 'local' | undefined {
  const value = settings['synchronous_commit'];
  return value === 'off' || value === 'local' ? value : undefined;
}

/** What to type on a node of which {@link commitsForNobody} is true. */
export const RESET_SYNCHRONOUS_COMMIT = 'alter system reset synchronous_commit; select pg_reload_conf()';

/** A walsender that counts for a quorum: SyncRepGetCandidateStandbys takes those in state streaming. */
function streams(leader: ReachableNode, name: string): boolean {
  if (leader.senders.some((one) => one.applicationName === name && one.state === 'streaming')) return true;
  // Without pg_monitor name and state are hidden, but not that somebody reads the slot.
  const sender = senderFor(leader, name);
  return sender?.state === 'streaming' || sender?.state === '';
}

/** The state in short, for `status`: null before `create`. */
export type SyncSummary = Omit<SyncState, 'epoch' | 'leader'>;

export function syncSummary(snapshot: Snapshot): SyncSummary | null {
  const state = syncState(snapshot);
  if (state === undefined) return null;
  const { mode, k, names, setting, connected, waiting, agrees } = state;
  return { mode, k, names, setting, connected, waiting, agrees };
}

/** What a failover may promise while the leader is gone. */
export interface LossGuarantee {
  readonly mode: SyncModeName;
  readonly k: number;
  readonly names: readonly string[];
  /** Those of `names` whose position is known. */
  readonly present: readonly string[];
  /** No acknowledged commit can be missing on the most advanced of `present`. */
  readonly impossible: boolean;
  /** Why it is not impossible, in words; null when it is. */
  readonly why: string | null;
}

/**
 * Whether the loss of an acknowledged commit is impossible when the most advanced of `present` takes over: each was
 * confirmed by k of N, so any r > N − k of them hold at least one that has it, and with it everything before. Holds
 * for the epoch of the record only. Not for sessions that turned synchronous_commit down by themselves.
 */
export function lossGuarantee(snapshot: Snapshot, present: readonly string[]): LossGuarantee {
  const record = syncRecord(snapshot);
  const epoch = currentEpoch(snapshot);
  const { mode, k, names } = record ?? { mode: 'async' as const, k: 0, names: [] };
  const here = names.filter((name) => present.includes(name));
  const base = { mode, k, names, present: here };
  const no = (why: string): LossGuarantee => ({ ...base, impossible: false, why });
  if (record === undefined || mode === 'async' || k === 0) return no('commits waited for no replica (async)');
  if (record.epoch !== epoch?.epoch)
    return no(`the sync mode is recorded for epoch ${String(record.epoch)} only`);
  if (here.length <= names.length - k)
    return no(
      `${String(k)} of ${names.join(', ')} confirmed each commit, and only ${here.length === 0 ? 'none' : here.join(', ')} of them can be asked: ${String(names.length - k + 1)} are needed`,
    );
  return { ...base, impossible: true, why: null };
}
