/** Names of everything repctl makes on a server. */

export const SCHEMA = 'repctl';
export const PUBLICATION = 'repctl';
/** The statement trigger on every published table. */
export const FENCE_TRIGGER = 'repctl_fence';

/** The slot on any node that feeds (or would feed) `node`. */
export const slotName = (node: string): string => `repctl_${node}`;

/** The subscription of `node` in `epoch`. */
export const subscriptionName = (node: string, epoch: number): string => `repctl_${node}_e${String(epoch)}`;

/** The epoch in a subscription's name; undefined when repctl did not make it. */
export function subscriptionEpoch(name: string): number | undefined {
  const match = /^repctl_[a-z][a-z0-9_]*_e(\d+)$/.exec(name);
  return match ? Number(match[1]) : undefined;
}

/** Whether the slot has the form of {@link slotName}. */
export const isOwnSlot = (name: string): boolean => /^repctl_[a-z][a-z0-9_]*$/.test(name);

/** repctl.event.kind of the row that ends an epoch's writes; it lives only as long as a switchover does. */
export const BARRIER_KIND = 'barrier';

/** repctl.event.kind of rows that only measure a delay; they are no history. */
export const PROBE_KIND = 'probe';

/** repctl.event.kind of the row that says where the leader's free sequences began; bookkeeping, no history. */
export const SEQUENCES_KIND = 'sequences';

/** repctl.event.kind of rows that record what commits wait for. */
export const SYNC_KIND = 'sync';
