/** The checks of doctor that no server of today can be brought into; the others run on real ones. */
import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { doctorFindings } from '../../../src/cluster/doctor/findings.js';
import type { Trials } from '../../../src/cluster/doctor/trials.js';
import type { Snapshot } from '../../../src/cluster/model.js';
import type { ClusterConfig } from '../../../src/config/schema.js';
import { healthy, patch, slotOf } from '../../support/snapshots.js';

const config: ClusterConfig = {
  cluster: 'shop',
  tables: ['products'],
  nodes: ['n1', 'n2', 'n3'].map((name) => ({
    name,
    url: `postgres://app@${name}.example/shop`,
    priority: 100,
  })),
  sequenceGap: 1000,
  connectTimeoutMs: 3000,
  statementTimeoutMs: 30_000,
  drainTimeoutMs: 10_000,
  source: 'test',
};
const find = (snapshot: Snapshot, changed: Partial<ClusterConfig> = {}, trials: readonly Trials[] = []) =>
  doctorFindings({
    snapshot,
    config: { ...config, ...changed },
    trials,
    pooled: [],
    analysis: analyse(snapshot, config),
  });
const codes = (findings: ReturnType<typeof find>, node?: string) =>
  findings.filter((it) => node === undefined || it.node === node).map((it) => it.code);
const trialOf = (failed: Trials['failed']): Trials => ({
  node: 'n2',
  failure: null,
  tables: [],
  failed,
  reach: {},
});

describe('doctorFindings', () => {
  it('finds nothing in a healthy cluster', () => {
    expect(find(healthy())).toEqual([]);
  });

  it.each([
    ['an unsupported version', { version: '14.9', versionNum: 140009 }, 'version-unsupported'],
    ['a clock that is off', { clockOffsetMs: 90_000 }, 'clock-drift'],
    [
      'slots that time out',
      { settings: { wal_level: 'logical', idle_replication_slot_timeout: '60' } },
      'slots-time-out',
    ],
    [
      'a slot unused for days',
      { slots: [slotOf('n1', { inactiveSince: '2026-01-01T00:00:00.000Z' }), slotOf('n3')] },
      'slot-idle',
    ],
    [
      'the slot of a copy that nobody goes on with',
      { slots: [slotOf('n1'), slotOf('n3'), slotOf('', { name: 'pg_16401_sync_16390_7000', own: false })] },
      'slot-orphaned',
    ],
  ])('%s', (_, change, code) => {
    expect(codes(find(patch(healthy(), 'n2', change)), 'n2')).toContain(code);
  });

  it('tells of Neon hosts', () => {
    const nodes = config.nodes.map((node) => ({
      ...node,
      url: `postgres://app@ep-quiet-sea-1.eu.aws.neon.tech/shop`,
    }));
    expect(codes(find(healthy(), { nodes }))).toEqual(['neon-host', 'neon-host', 'neon-host']);
  });

  it('asks for superuser only where nothing less will do', () => {
    const failed = {
      'create-subscription': { sqlState: '42501', message: 'must be superuser to create subscriptions' },
    };
    const old = patch(healthy(), 'n2', { version: '15.6', versionNum: 150006 });
    expect(find(old, {}, [trialOf(failed)])[0]?.fix).toMatch(/superuser/);
    expect(find(healthy(), {}, [trialOf(failed)])[0]?.fix).toBe('grant pg_create_subscription to "app"');
  });

  it('does not take a lack of slots for a lack of privileges', () => {
    const failed = { 'create-slot': { sqlState: '53400', message: 'all replication slots are in use' } };
    expect(codes(find(healthy(), {}, [trialOf(failed)]))).toEqual(['no-tables']);
  });

  it('shows what the server said where it knows no better', () => {
    const failed = { 'create-slot': { sqlState: 'XX000', message: 'something new' } };
    expect(find(healthy(), {}, [trialOf(failed)])[0]).toMatchObject({
      code: 'capability-missing',
      severity: 'error',
    });
  });

  it('reports a node that could not be tried', () => {
    const trials = { ...trialOf({}), failure: { sqlState: null, message: 'the connection was lost' } };
    expect(codes(find(healthy(), {}, [trials]))).toEqual(['not-examined']);
  });
});
