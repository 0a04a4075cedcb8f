/** What a replay would do, found by judging every change and writing nothing. */
import type { Fleet } from '../cluster/fleet.js';
import { reachableLeader } from '../cluster/epochs.js';
import { observe } from '../cluster/observe.js';
import type { ReadStranded } from '../replication/stranded/file.js';
import { replayFile } from './runners/replay.js';

/** How many conflicts are named one by one before anybody is asked. */
const NAMED = 10;

/** One sentence each; empty where the leader does not answer, which the plan then says. */
export async function previewOf(
  fleet: Fleet,
  file: string,
  { header, requests }: Pick<ReadStranded, 'header' | 'requests'>,
): Promise<string[]> {
  const leader = reachableLeader(await observe(fleet));
  if (leader === undefined || header.cluster !== fleet.config.cluster) return [];
  const found = await replayFile(
    { fleet },
    { leader: leader.name, file },
    { header, requests, dryRun: true },
  );
  return [
    `would apply ${String(found.applied)} changes; ${String(found.already)} are there already; ${String(found.conflicts)} in conflict would be left alone`,
    ...found.shown
      .slice(0, NAMED)
      .map(({ table, op, key, reason }) => `conflict: ${op} of ${table} ${key}: ${reason}`),
    ...(found.conflicts > NAMED ? [`… and ${String(found.conflicts - NAMED)} more conflicts`] : []),
  ];
}
