import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TablesAction } from '../../../src/operations/tables/actions.js';
import { planAddTables } from '../../../src/operations/tables/add.js';
import { planDropTables } from '../../../src/operations/tables/drop.js';
import type { NodeTable, TablesState } from '../../../src/operations/tables/model.js';
import { unfinishedTables } from '../../../src/operations/tables/state.js';
import { tableKey } from '../../../src/replication/publications.js';
import { numberToLsn } from '../../../src/postgres/lsn.js';

const table = (name: string) => ({ schema: 'public', name });

const nodeTable = (name: string, changes: Partial<NodeTable> = {}): NodeTable => ({
  ...table(name),
  kind: 'r',
  permanent: true,
  ancestors: [],
  columns: ['id bigint', 'v text'],
  identifiable: true,
  published: false,
  fence: 'missing',
  sync: null,
  subscribed: false,
  empty: true,
  ...changes,
});

const cluster = (
  tables: (node: string, leads: boolean) => NodeTable[],
  nodes = ['n1', 'n2', 'n3'],
): TablesState => ({
  epoch: 1,
  leader: 'n1',
  events: [],
  nodes: nodes.map((name) => ({
    name,
    tables: tables(name, name === 'n1'),
    subscription: name === 'n1' ? null : `repctl_${name}_e1`,
    bases:
      name === 'n1'
        ? []
        : nodes.filter((other) => other !== name).map((sibling) => ({ sibling, epoch: 1, baseLsn: '0/10' })),
  })),
});

/** What a step leaves behind, as the next observation would show it. */
function apply(state: TablesState, action: TablesAction, clock: number): TablesState {
  const change = (
    node: string,
    one: { schema: string; name: string },
    to: Partial<NodeTable>,
  ): TablesState => ({
    ...state,
    nodes: state.nodes.map((it) =>
      it.name === node
        ? { ...it, tables: it.tables.map((t) => (tableKey(t) === tableKey(one) ? { ...t, ...to } : t)) }
        : it,
    ),
  });
  const event = (
    verb: 'add' | 'drop',
    phase: 'begin' | 'end',
    tables: readonly { schema: string; name: string }[],
  ) => ({
    ...state,
    events: [
      ...state.events,
      {
        verb,
        phase,
        tables: tables.map(tableKey),
        epoch: 1,
        lsn: phase === 'end' ? numberToLsn(BigInt(clock)) : null,
      },
    ],
  });
  switch (action.kind) {
    case 'begin':
      return event(action.verb, 'begin', action.tables);
    case 'end':
      return event(action.verb, 'end', action.tables);
    case 'fence':
      return change(action.node, action.table, { fence: action.enabled ? 'enabled' : 'disabled' });
    case 'unfence':
      return change(action.node, action.table, { fence: 'missing' });
    case 'publish-table':
      return change(action.node, action.table, { published: true });
    case 'unpublish-table':
      return change(action.node, action.table, { published: false });
    case 'attach-table': {
      // A refresh takes up every table that the leader publishes.
      const published = state.nodes[0]!.tables.filter((t) => t.published);
      return {
        ...state,
        nodes: state.nodes.map((it) =>
          it.name === action.node
            ? {
                ...it,
                tables: it.tables.map((t) =>
                  t.sync === null && published.some((p) => tableKey(p) === tableKey(t))
                    ? {
                        ...t,
                        sync: action.copy ? ('d' as const) : ('r' as const),
                        subscribed: true,
                        wrong: action.copy !== t.empty,
                      }
                    : t,
                ),
              }
            : it,
        ),
      };
    }
    case 'detach-table':
      return change(action.node, action.table, { sync: null, subscribed: false });
    case 'await-tables':
      return {
        ...state,
        nodes: state.nodes.map((it) =>
          action.nodes.includes(it.name)
            ? { ...it, tables: it.tables.map((t) => (t.sync === null ? t : { ...t, sync: 'r' as const })) }
            : it,
        ),
      };
    case 'move-standby':
      return {
        ...state,
        nodes: state.nodes.map((it) =>
          it.name === action.node
            ? { ...it, bases: it.bases.map((base) => ({ ...base, baseLsn: numberToLsn(BigInt(clock)) })) }
            : it,
        ),
      };
  }
}

type Planner = typeof planAddTables;
const steps = (planner: Planner, state: TablesState, request: { schema: string; name: string }[]) => {
  const result = planner(state, request);
  if (result.kind === 'refused') throw new Error(JSON.stringify(result.refusal.findings));
  return result.plan.steps;
};

/** After any prefix of the steps, planning again gives the rest; returns the end. */
function expectTail(
  planner: Planner,
  start: TablesState,
  request: { schema: string; name: string }[],
): TablesState {
  const whole = steps(planner, start, request);
  let state = start;
  for (const [done, step] of whole.entries()) {
    expect(steps(planner, state, request).map((one) => one.id)).toEqual(
      whole.slice(done).map((one) => one.id),
    );
    state = apply(state, step.action, 1000 + done);
  }
  expect(steps(planner, state, request)).toEqual([]);
  return state;
}

const arbitrary = fc
  .record({
    count: fc.integer({ min: 1, max: 3 }),
    nodes: fc.integer({ min: 1, max: 4 }),
    seed: fc.array(
      fc.record({
        published: fc.boolean(),
        fence: fc.constantFrom('missing' as const, 'enabled' as const, 'disabled' as const),
        empty: fc.boolean(),
      }),
      { minLength: 12, maxLength: 12 },
    ),
  })
  .map(({ count, nodes, seed }) => {
    const names = ['n1', 'n2', 'n3', 'n4'].slice(0, nodes);
    let next = 0;
    const state = cluster(
      (node) =>
        Array.from({ length: count }, (_, i) => {
          const one = seed[next++ % seed.length]!;
          // Half-added tables of the leader are the business of a test of their own.
          return nodeTable(`t${String(i)}`, { ...one, published: node !== 'n1' && one.published });
        }),
      names,
    );
    return { state, request: Array.from({ length: count }, (_, i) => table(`t${String(i)}`)) };
  });

describe('publication add', () => {
  it('after any prefix of its steps, the plan is the rest, whatever was there before', () => {
    fc.assert(
      fc.property(arbitrary, ({ state, request }) => {
        const end = expectTail(planAddTables, state, request);
        for (const node of end.nodes)
          for (const one of node.tables) {
            expect(one).toMatchObject({
              published: true,
              fence: node.name === 'n1' ? 'disabled' : 'enabled',
              sync: node.name === 'n1' ? null : 'r',
            });
            expect(one).not.toMatchObject({ wrong: true });
          }
        expect(unfinishedTables(end, 'add')).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('a later request with another table finishes the first one too, and never refreshes two new tables at once', () => {
    const start = cluster(() => [nodeTable('a', { empty: false }), nodeTable('b')]);
    const first = steps(planAddTables, start, [table('b')]);
    for (let done = 1; done <= first.length; done += 1) {
      let state = start;
      for (const [i, step] of first.slice(0, done).entries()) state = apply(state, step.action, 100 + i);
      const end = expectTail(planAddTables, state, [table('a')]);
      for (const node of end.nodes)
        for (const one of node.tables) expect(one).not.toMatchObject({ wrong: true });
      expect(unfinishedTables(end, 'add')).toEqual([]);
    }
  });

  it('order: replicas publish before the leader, subscriptions follow, slots last', () => {
    const ids = steps(
      planAddTables,
      cluster(() => [nodeTable('t')]),
      [table('t')],
    ).map((one) => one.id);
    expect(ids).toEqual([
      'begin:n1',
      'fence:n1:public.t',
      'fence:n2:public.t',
      'fence:n3:public.t',
      'publish:n2:public.t',
      'publish:n3:public.t',
      'publish:n1:public.t',
      'attach:n2:public.t',
      'attach:n3:public.t',
      'await-tables',
      'end:n1',
      'move-standby:n2',
      'move-standby:n3',
    ]);
  });

  const refusal = (state: TablesState, request = [table('t')]) => {
    const result = planAddTables(state, request);
    return result.kind === 'refused' ? result.refusal.findings.map((one) => one.code) : [];
  };
  it.each<[string, (node: string) => NodeTable[], string]>([
    ['missing on one node', (node) => (node === 'n3' ? [] : [nodeTable('t')]), 'table-missing'],
    ['no key', () => [nodeTable('t', { identifiable: false })], 'replica-identity'],
    ['unlogged', () => [nodeTable('t', { permanent: false })], 'table-kind'],
    [
      'other columns',
      (node) => [nodeTable('t', node === 'n2' ? { columns: ['id integer'] } : {})],
      'schema-drift',
    ],
    [
      'its root is published',
      () => [
        nodeTable('t', { ancestors: [table('root')] }),
        nodeTable('root', { published: true, sync: 'r', kind: 'p' }),
      ],
      'partition',
    ],
    [
      'another table is half there',
      (node) => [nodeTable('t'), nodeTable('other', { published: true, sync: node === 'n3' ? null : 'r' })],
      'table-unsubscribed',
    ],
  ])('refuses: %s', (_, tables, code) => {
    expect(refusal(cluster(tables))).toContain(code);
  });
  it('refuses a detached replica and repctl’s own tables', () => {
    const state = cluster(() => [nodeTable('t')]);
    expect(
      refusal({ ...state, nodes: state.nodes.map((node) => ({ ...node, subscription: null })) }),
    ).toEqual(['node-detached', 'node-detached']);
    expect(refusal(state, [{ schema: 'repctl', name: 'epoch' }])).toEqual(['own-table']);
  });
});

describe('publication drop', () => {
  const replicated = (node: string) => [
    nodeTable('t', {
      published: true,
      fence: node === 'n1' ? 'disabled' : 'enabled',
      ...(node === 'n1' ? {} : { sync: 'r' as const, subscribed: true }),
    }),
    nodeTable('other', {
      published: true,
      ...(node === 'n1' ? {} : { sync: 'r' as const, subscribed: true }),
    }),
  ];
  it('after any prefix of its steps, the plan is the rest', () => {
    const end = expectTail(planDropTables, cluster(replicated), [table('t')]);
    for (const node of end.nodes)
      expect(node.tables[0]).toMatchObject({ published: false, fence: 'missing', subscribed: false });
    for (const node of end.nodes) expect(node.tables[1]).toMatchObject({ published: true });
  });
  it('undoes an addition at whatever step it was left, which then is over', () => {
    const start = cluster(() => [nodeTable('t')]);
    const adding = steps(planAddTables, start, [table('t')]);
    for (let done = 1; done <= adding.length; done += 1) {
      let state = start;
      for (const step of adding.slice(0, done)) state = apply(state, step.action, 50);
      const end = expectTail(planDropTables, state, [table('t')]);
      expect(unfinishedTables(end, 'add')).toEqual([]);
    }
  });
  it('refuses while another addition is unfinished', () => {
    const state = cluster(() => [nodeTable('t', { published: true, sync: 'r' }), nodeTable('u')]);
    const half = apply(
      state,
      { kind: 'begin', verb: 'add', leader: 'n1', epoch: 1, tables: [table('u')] },
      1,
    );
    expect(planDropTables(half, [table('t')])).toMatchObject({
      kind: 'refused',
      refusal: { findings: [{ code: 'operation-unfinished' }] },
    });
  });
});
