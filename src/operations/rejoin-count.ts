/** What is stranded, counted before anybody is asked. */
import type { Fleet } from '../cluster/fleet.js';
import type { Snapshot } from '../cluster/model.js';
import { messageOf } from '../errors.js';
import { keyColumnsOf } from '../replication/stranded/changed.js';
import type { StrandedCounts } from '../replication/stranded/model.js';
import { endedReign, strandedSource } from '../replication/stranded/source.js';
import { factsOf, isAttached, nodeOf } from './facts.js';
import { countStranded } from './runners/stranded.js';

export interface Counted {
  readonly counts?: StrandedCounts;
  /** Why they could not be counted; what the node holds is decoded again once it is fenced. */
  readonly problem?: string;
}

/** Reads the node's slot without consuming it. While the node still takes writes this is only the number so far. */
export async function countBefore(fleet: Fleet, snapshot: Snapshot, name: string): Promise<Counted> {
  const facts = factsOf(snapshot, fleet.config);
  const node = nodeOf(facts, name);
  if (node === undefined || facts.leader === undefined || facts.epoch === undefined) return {};
  if (isAttached(node, facts.epoch.epoch)) return {};
  const reign = endedReign(node, facts.leader.epochs);
  const source = reign && strandedSource(node, reign);
  if (reign === undefined || source?.kind !== 'slot') return {};
  try {
    const { slot } = source;
    const keys = keyColumnsOf([]);
    return { counts: await countStranded({ fleet }, { node: name, slot, forkPoint: reign.forkPoint, keys }) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
