/** What is said where no leader is known: never to create a cluster that may be there. */
import { describe, expect, it } from 'vitest';
import { leaderless } from '../../../src/cluster/leaderless.js';
import type { Snapshot } from '../../../src/cluster/model.js';
import { bareNode, unreachable } from '../../support/simulate.js';
import { healthy } from '../../support/snapshots.js';

const bare: Snapshot = { ...healthy(), nodes: [bareNode('n1', 1), bareNode('n2', 2)] };

describe('no leader', () => {
  it.each<[string, Snapshot, string, number, string]>([
    ['every node answers, none knows of a cluster', bare, 'not-created', 2, 'repctl cluster create'],
    ['one does not answer', unreachable(bare, 'n2'), 'node-unreachable', 3, 'repctl status'],
    [
      'one does not let its records be read',
      { ...bare, nodes: bare.nodes.map((node) => ({ ...node, metadata: 'denied' }) as typeof node) },
      ...(['node-unreachable', 3, 'repctl status'] as const),
    ],
    [
      'the leader is not in the configuration',
      { ...healthy(), nodes: healthy().nodes.filter(({ name }) => name !== 'n1') },
      ...(['no-leader', 4, 'Add n1 to the configuration, or repctl failover'] as const),
    ],
  ])('%s', (_, snapshot, code, exit, hint) => {
    expect(leaderless(snapshot)).toMatchObject({ code, exit, hint });
  });
});
