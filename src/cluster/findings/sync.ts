/** Findings about the sync mode: what hangs and why, and what was left half way. Pure. */
import { ownSubscription, reachableNodes } from '../epochs.js';
import type { Finding, Snapshot } from '../model.js';
import { subscriptionEpoch } from '../names.js';
import { isStaleLeader } from '../report.js';
import { RESET_SYNCHRONOUS_COMMIT, commitsForNobody, quorumOf, syncState, syncText } from '../sync.js';

export function syncFindings(snapshot: Snapshot): readonly Finding[] {
  const state = syncState(snapshot);
  if (state === undefined) return [];
  const { leader, connected, waiting, setting } = state;
  const findings: Finding[] = [];
  const quorum = setting === null ? undefined : quorumOf(setting);
  const hung =
    waiting === null || waiting === 0
      ? ''
      : `; ${String(waiting)} ${waiting === 1 ? 'session waits' : 'sessions wait'} now`;
  // The setting decides what waits, whatever is recorded.
  if (quorum !== undefined && connected.length < quorum.k)
    findings.push({
      code: 'commits-wait',
      severity: 'critical',
      node: leader,
      message: `no commit is acknowledged: ${String(quorum.k)} of ${quorum.names.join(', ')} must confirm, and ${connected.length === 0 ? 'none is' : `only ${connected.join(', ')} ${connected.length === 1 ? 'is' : 'are'}`} connected${hung}`,
      fix: `Bring ${quorum.names.filter((name) => !connected.includes(name)).join(', ')} back, or let commits go on without: repctl sync async`,
    });
  else if (quorum === undefined && (waiting ?? 0) > 0)
    findings.push({
      code: 'commits-wait',
      severity: 'warning',
      node: leader,
      message: `${String(waiting ?? 0)} sessions wait for synchronous_standby_names = ${setting ?? ''}, which repctl did not set`,
      fix: 'Look at pg_stat_replication on the leader.',
    });
  if (state.agrees === false && (quorum !== undefined || state.k > 0))
    findings.push({
      code: 'sync-mismatch',
      severity: 'error',
      node: leader,
      message: `recorded is sync ${syncText(state)}${state.k === 0 ? '' : ` (${String(state.k)} of ${state.names.join(', ')})`}, but synchronous_standby_names is '${setting ?? ''}': ${
        (quorum?.k ?? 0) < state.k
          ? 'commits are acknowledged that a failover would believe safe'
          : 'commits wait that need not'
      }`,
      fix: `repctl sync ${syncText(state)}`,
    });
  for (const node of reachableNodes(snapshot)) {
    if (node.name === leader) {
      const commit = commitsForNobody(node);
      if (state.k > 0 && commit !== undefined)
        findings.push({
          code: 'sync-commit-off',
          severity: 'error',
          node: node.name,
          message: `synchronous_commit is ${commit}: commits wait for nobody although the sync mode is ${syncText(state)}`,
          fix: RESET_SYNCHRONOUS_COMMIT,
        });
      continue;
    }
    const left = quorumOf(node.settings['synchronous_standby_names'] ?? '');
    // A leader of old cannot acknowledge, which is as it should be until it is attached again.
    if (left !== undefined && left.k > 0 && node.identity !== null && !isStaleLeader(snapshot, node))
      findings.push({
        code: 'sync-setting-left',
        severity: 'warning',
        node: node.name,
        message: `synchronous_standby_names is still '${node.settings['synchronous_standby_names'] ?? ''}' although it does not lead: whatever is committed there by hand hangs`,
        fix: `repctl sync ${syncText(state)}`,
      });
    const subscription = ownSubscription(node);
    if (
      state.k > 0 &&
      state.names.includes(node.name) &&
      subscription?.enabled === true &&
      subscriptionEpoch(subscription.name) === state.epoch &&
      ['off', undefined].includes(subscription.synchronousCommit)
    )
      findings.push({
        code: 'sync-confirms-late',
        severity: 'warning',
        node: node.name,
        message:
          'it applies with synchronous_commit=off, so that commits on the leader wait about 200 ms for it',
        fix: `repctl sync ${syncText(state)}`,
      });
    // What an initial copy is made with, left by a repctl that was killed at its end; or sync mode was left meanwhile.
    if (
      state.k === 0 &&
      quorum?.k === 0 &&
      subscription?.enabled === true &&
      subscriptionEpoch(subscription.name) === state.epoch &&
      subscription.synchronousCommit === 'local' &&
      subscription.tables.every((table) => table.state === 'r')
    )
      findings.push({
        code: 'commits-locally',
        severity: 'info',
        node: node.name,
        message: 'it applies with synchronous_commit=local, which is slower and which nobody needs here',
        fix: `repctl rewire ${node.name}`,
      });
  }
  return findings;
}
