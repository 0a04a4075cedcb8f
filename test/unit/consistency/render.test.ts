import { describe, expect, it } from 'vitest';
import { type CheckResult, skippedNode, verdictOf, worst } from '../../../src/consistency/result.js';
import type { SchemaFinding } from '../../../src/consistency/schema.js';
import { plainStyle } from '../../../src/ui/color.js';
import { renderCheck, renderProgress } from '../../../src/ui/check.js';

const node = (more: object = {}) => ({
  ...skippedNode('n2', ''),
  verdict: 'equal' as const,
  problem: null,
  rows: '1000',
  ...more,
});
const result = (more: Partial<CheckResult> = {}): CheckResult => ({
  cluster: 'shop',
  leader: 'n1',
  epoch: 3,
  startedAt: '2026-11-23T10:00:00.000Z',
  durationMs: 1234,
  verdict: 'equal',
  scope: { data: true, where: null, since: null, sinceColumn: null },
  digest: 'hash',
  hashesOtherwise: [],
  exact: null,
  restarts: 0,
  resumed: null,
  resume: null,
  report: null,
  skipped: [],
  tables: [
    {
      schema: 'public',
      name: 'items',
      method: 'ranges',
      key: ['id'],
      rows: '1000',
      bytes: 81920,
      durationMs: 12,
      nodes: [node()],
    },
  ],
  schema: [],
  publication: [],
  sequences: [],
  unreachable: [],
  ...more,
});

const text = (more: Partial<CheckResult>): string => renderCheck(result(more), plainStyle());

describe('the verdict', () => {
  it('is the worst of all', () => {
    expect(worst([])).toBe('equal');
    expect(worst(['equal', 'unverified'])).toBe('unverified');
    expect(worst(['unverified', 'diverged', 'equal'])).toBe('diverged');
  });

  const broken = {
    code: 'x',
    severity: 'error',
    node: 'n2',
    schema: 'public',
    name: 'items',
    message: 'm',
  } as const;
  it.each<[string, Partial<CheckResult>, string]>([
    ['all equal', {}, 'equal'],
    ['a schema that breaks apply', { schema: [broken] }, 'diverged'],
    ['a schema that is harmless', { schema: [{ ...broken, severity: 'info' }] }, 'equal'],
    ['a table that is not subscribed to', { publication: [broken] }, 'unverified'],
    ['a table that was left out', { skipped: [{ schema: 'public', name: 't', reason: 'r' }] }, 'unverified'],
    ['a node that was not asked', { unreachable: [{ node: 'n3', code: 'c', message: 'm' }] }, 'unverified'],
  ])('%s', (_, more, verdict) => {
    expect(verdictOf(result(more))).toBe(verdict);
  });
});

describe('as text', () => {
  it('ends with a sentence, and with what to type next unless all is equal', () => {
    expect(text({})).toMatch(/✓ 1 replica equals n1: 1,000 rows in 1 table\.$/);
    const skipped = [{ schema: 'public', name: 'orders', reason: 'it has no column updated_at' }];
    expect(text({ verdict: 'unverified', skipped })).toMatch(
      /\? What was compared is equal; 1 table was left out\.\n {2}repctl check public\.orders$/,
    );
    expect(text({ verdict: 'unverified' })).toMatch(/repctl status, then repctl check again$/);
    const nodes = [node({ verdict: 'diverged', missing: 2 })];
    const diverged = { ...result().tables[0]!, nodes };
    expect(text({ verdict: 'diverged', tables: [diverged] })).toMatch(
      /✗ n2 has diverged from n1\.\n {2}repctl repair --node n2 {3}sets its rows right, and asks first$/,
    );
    const missing: SchemaFinding = {
      ...{ code: 'table-missing', node: 'n3', schema: 'public', name: 'items' },
      ...{ severity: 'error', message: 'table public.items does not exist' },
    };
    const both = text({ verdict: 'diverged', tables: [diverged], schema: [missing] });
    expect(both).toMatch(/n2, n3 have diverged from n1\./);
    expect(both).toContain('repctl repair --node n2');
    // No row of it can be set right.
    expect(both).not.toContain('repctl repair --node n3');
  });

  it('makes blanks, empty texts, nulls and what is not proven visible', () => {
    const samples = [
      {
        kind: 'differing' as const,
        proven: true,
        key: { id: '7' },
        columns: [
          { name: 'a', leader: null, node: '' },
          { name: 'b', leader: 'x ', node: 'x\n' },
        ],
        copies: null,
      },
      { kind: 'missing' as const, proven: false, key: { id: '8' }, columns: [], copies: null },
      {
        kind: 'extra' as const,
        proven: true,
        key: null,
        columns: [{ name: 'a', leader: null, node: '1' }],
        copies: { leader: '0', node: '2' },
      },
    ];
    const nodes = [node({ verdict: 'diverged', differing: 1, extra: 1, unverified: 1, samples })];
    const out = text({ verdict: 'diverged', tables: [{ ...result().tables[0]!, nodes }] });
    expect(out).toContain('  differing: id="7": a is "", leader has null');
    expect(out).toContain('  differing: id="7": b is "x\\n", leader has "x "');
    expect(out).toContain('  missing on n2: id="8" (not proven)');
    expect(out).toContain('  extra a="1": 0 on the leader, 2 on n2');
  });

  it('progress fits into the line, whatever the estimate was', () => {
    const table = { schema: 'public', name: 'items' };
    expect(renderProgress({ table, rows: 500, ofRows: 1000 }, 1000, plainStyle(120))).toBe(
      `public.items ${'█'.repeat(12)}${'░'.repeat(12)} 500 rows, 500/s, 1.0 s left`,
    );
    for (const ofRows of [0, 1, 1000])
      expect(renderProgress({ table, rows: 700, ofRows }, 0, plainStyle(40)).length).toBeLessThan(40);
  });
});
