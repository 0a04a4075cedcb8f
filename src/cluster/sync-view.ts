/** What `repctl sync` shows. Pure. */
import { EXIT, RepctlError } from '../errors.js';
import { ownSubscription, reachableNodes } from './epochs.js';
import { syncFindings } from './findings/sync.js';
import { leaderless } from './leaderless.js';
import type { Finding, Snapshot } from './model.js';
import { type SyncSummary, syncState, syncSummary } from './sync.js';

/** Frozen shape of --json, docs/json.md. */
export interface SyncView {
  readonly cluster: string;
  readonly epoch: number;
  readonly leader: string;
  readonly sync: SyncSummary;
  readonly replicas: readonly {
    readonly name: string;
    /** Commits may wait for it. */
    readonly counts: boolean;
    readonly connected: boolean;
    /** synchronous_commit of its subscription; null where it has none, or does not answer. */
    readonly synchronousCommit: string | null;
  }[];
  readonly findings: readonly Finding[];
}

/** Throws `node-unreachable` (exit 3) when no node answers, and as leaderless() says when none knows an epoch. */
export function syncView(snapshot: Snapshot): SyncView {
  const state = syncState(snapshot);
  const sync = syncSummary(snapshot);
  const nodes = reachableNodes(snapshot);
  if (state === undefined || sync === null)
    throw nodes.length === 0
      ? new RepctlError('node-unreachable', 'No node of this cluster answers.', {
          exit: EXIT.unreachable,
          hint: 'repctl status',
        })
      : leaderless(snapshot);
  const counted = new Set(sync.names);
  return {
    cluster: snapshot.cluster,
    epoch: state.epoch,
    leader: state.leader,
    sync,
    replicas: snapshot.nodes
      .filter((node) => node.name !== state.leader)
      .map((node) => ({
        name: node.name,
        counts: counted.has(node.name),
        connected: sync.connected.includes(node.name),
        synchronousCommit: node.reachable ? (ownSubscription(node)?.synchronousCommit ?? null) : null,
      })),
    findings: syncFindings(snapshot),
  };
}
