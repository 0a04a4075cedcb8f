import { describe, expect, it } from 'vitest';
import {
  isOutdated,
  judge,
  leadership,
  lostMarks,
  turn,
  uncertainMarks,
} from '../../../src/routing/route.js';
import {
  EMPTY_SESSION,
  type EpochRow,
  type Mark,
  type NodeView,
  laterMark,
  mergeSessions,
  satisfies,
} from '../../../src/routing/token.js';

const first: EpochRow = { epoch: 1, leader: 'n1', previousLeader: null, forkPoint: null };
const second = (forkPoint: string): EpochRow => ({ epoch: 2, leader: 'n2', previousLeader: 'n1', forkPoint });
const view = (over: Partial<NodeView> = {}): NodeView => ({
  name: 'n3',
  identity: 'n3',
  born: 'b',
  epochs: [first],
  requests: true,
  feed: 'live',
  position: { epoch: 1, lsn: '0/500' },
  ...over,
});
const mark = (before: string, after: string, epoch = 1): Mark => ({ epoch, leader: 'n1', before, after });

describe('satisfies', () => {
  it.each<[string, Mark, NodeView, string]>([
    ['applied past the write', mark('0/3F0', '0/400'), view(), 'yes'],
    ['applied exactly', mark('0/4F0', '0/500'), view(), 'yes'],
    ['numbers, not texts', mark('0/FF0', '0/1000'), view({ position: { epoch: 1, lsn: '0/FFF' } }), 'behind'],
    ['not yet applied', mark('0/500', '0/501'), view(), 'behind'],
    ['no position', mark('0/1', '0/2'), view({ position: null }), 'behind'],
    ['the leader itself', mark('0/1', 'F/0'), view({ name: 'n1', position: null }), 'yes'],
    ['an older epoch here', mark('0/1', '0/2', 2), view(), 'behind'],
    ['position of another epoch', mark('0/1', '0/2'), view({ position: { epoch: 2, lsn: 'F/0' } }), 'behind'],
    ['fork past the write', mark('0/3F0', '0/400'), view({ epochs: [second('0/400'), first] }), 'yes'],
    ['fork before the write', mark('0/3F0', '0/400'), view({ epochs: [second('0/3E0'), first] }), 'lost'],
    [
      'fork within the write',
      mark('0/3F0', '0/400'),
      view({ epochs: [second('0/3F8'), first] }),
      'uncertain',
    ],
    [
      'fork of some other leader',
      { ...mark('0/1', '0/2'), leader: 'n9' },
      view({ epochs: [second('F/0'), first] }),
      'uncertain',
    ],
  ])('%s', (_, token, node, expected) => {
    expect(satisfies(token, node)).toBe(expected);
  });

  it('judges a much later epoch by the first fork after the mark', () => {
    const third: EpochRow = { epoch: 3, leader: 'n3', previousLeader: 'n2', forkPoint: '0/1' };
    expect(satisfies(mark('0/3F0', '0/400'), view({ epochs: [third, second('0/400'), first] }))).toBe('yes');
    expect(satisfies(mark('0/3F0', '0/400'), view({ epochs: [third, second('0/3E0'), first] }))).toBe('lost');
  });
});

describe('sessions', () => {
  it('keep the later mark', () => {
    const a = mark('0/1', '0/2');
    const b = mark('0/10', '0/20');
    expect(laterMark(a, b)).toBe(b);
    expect(laterMark(b, a)).toBe(b);
    expect(laterMark(null, a)).toBe(a);
    expect(laterMark(b, { ...a, epoch: 2 })).toEqual({ ...a, epoch: 2 });
  });

  it('of two runs at once neither forgets the other', () => {
    const written = { born: 'b', written: mark('0/10', '0/20'), seen: null };
    const seen = { born: 'b', written: mark('0/1', '0/2'), seen: mark('0/5', '0/5') };
    expect(mergeSessions(written, seen)).toEqual({ ...written, seen: seen.seen });
  });

  it('of another cluster keep nothing', () => {
    const old = { born: 'old', written: mark('F/0', 'F/1'), seen: null };
    expect(mergeSessions(old, { ...EMPTY_SESSION, born: 'new' })).toEqual({ ...EMPTY_SESSION, born: 'new' });
  });
});

describe('leadership', () => {
  const at = (name: string, epochs: EpochRow[]): NodeView => view({ name, identity: name, epochs });
  it.each([
    ['one of three', [at('n1', [first])], 3, { kind: 'no-majority', answered: 1, needed: 2 }],
    [
      'half of four',
      [at('n1', [first]), at('n2', [first])],
      4,
      { kind: 'no-majority', answered: 2, needed: 3 },
    ],
    ['a majority', [at('n1', [first]), at('n2', [first])], 3, { kind: 'leader', node: 'n1', epoch: 1 }],
    [
      'the highest epoch, whoever says so',
      [at('n1', [first]), at('n3', [second('0/1'), first])],
      3,
      { kind: 'leader', node: 'n2', epoch: 2 },
    ],
    ['no epoch at all', [at('n1', []), at('n2', [])], 3, { kind: 'no-cluster' }],
  ])('%s', (_, views, configured, expected) => {
    expect(leadership(views, configured)).toEqual(expected);
  });
});

describe('turn', () => {
  it.each([
    [undefined, undefined, 'n1 n2 n3'],
    [undefined, 'n1', 'n2 n3 n1'],
    ['n2', 'n1', 'n3 n2 n1'],
    ['n3', 'n1', 'n2 n3 n1'],
    ['gone', 'n2', 'n1 n3 n2'],
  ])('after %s, leader %s: %s', (last, leader, expected) => {
    expect(turn(['n1', 'n2', 'n3'], last, leader).join(' ')).toBe(expected);
  });
});

describe('judge', () => {
  it.each<[string, NodeView, string]>([
    ['a live replica', view(), 'serve'],
    ['a stranger', view({ identity: null }), 'skip'],
    ['another node behind this URL', view({ identity: 'n4' }), 'skip'],
    ['the leader', view({ name: 'n1', identity: 'n1' }), 'skip'],
    ['an initial copy', view({ feed: 'copying' }), 'skip'],
    ['no subscription', view({ feed: 'none' }), 'skip'],
    ['nothing feeds it', view({ feed: 'gone' }), 'unfed'],
    ['too far behind', view({ position: { epoch: 1, lsn: '0/3FF' } }), 'behind'],
  ])('%s', (_, node, expected) => {
    expect(judge(node, [mark('0/3F0', '0/400')]).kind).toBe(expected);
  });

  it('a lost mark holds nobody back, and is told', () => {
    const node = view({ epochs: [second('0/3E0'), first], position: { epoch: 2, lsn: '0/1' } });
    const lost = mark('0/3F0', '0/400');
    expect(judge(node, [lost]).kind).toBe('serve');
    expect(lostMarks(node, [lost])).toEqual([lost]);
  });

  it('of a mark that the fork lies within nobody can tell', () => {
    const node = view({ epochs: [second('0/3F8'), first] });
    expect(uncertainMarks(node, [mark('0/3F0', '0/400'), mark('0/1', '0/2')])).toEqual([
      mark('0/3F0', '0/400'),
    ]);
  });

  it('a leader of an epoch before the mark is outdated', () => {
    const later = { ...mark('0/1', '0/2'), epoch: 2 };
    const former = view({ name: 'n1', identity: 'n1' });
    expect(isOutdated(former, [later])).toBe(true);
    expect(isOutdated(former, [mark('F/0', 'F/1')])).toBe(false);
  });
});
