/** Who serves a request: pure functions of what the nodes answered. */
import { type Mark, type NodeView, type SessionState, isLeader, newestEpoch, satisfies } from './token.js';

export const READ_LEVELS = ['eventual', 'monotonic', 'read-your-writes', 'session', 'strong'] as const;
export type ReadLevel = (typeof READ_LEVELS)[number];

export type Leadership =
  | { readonly kind: 'leader'; readonly node: string; readonly epoch: number }
  | { readonly kind: 'no-majority'; readonly answered: number; readonly needed: number }
  | { readonly kind: 'no-cluster' };

export const majority = (configured: number): number => Math.floor(configured / 2) + 1;

/** The leader named by the highest epoch among a majority of the configured nodes. */
export function leadership(views: readonly NodeView[], configured: number): Leadership {
  const needed = majority(configured);
  if (views.length < needed) return { kind: 'no-majority', answered: views.length, needed };
  const newest = highestEpoch(views);
  return newest === undefined
    ? { kind: 'no-cluster' }
    : { kind: 'leader', node: newest.leader, epoch: newest.epoch };
}

export function highestEpoch(views: readonly NodeView[]): { epoch: number; leader: string } | undefined {
  return views
    .map(newestEpoch)
    .filter((row) => row !== undefined)
    .reduce<{ epoch: number; leader: string } | undefined>(
      (best, row) => (best === undefined || row.epoch > best.epoch ? row : best),
      undefined,
    );
}

/** What a read of this level must not be older than. */
export function wantedMarks(level: ReadLevel, session: SessionState): readonly Mark[] {
  const written = level === 'read-your-writes' || level === 'session' ? session.written : null;
  const seen = level === 'monotonic' || level === 'session' ? session.seen : null;
  return [written, seen].filter((mark) => mark !== null);
}

/** The nodes in the order in which to ask them: after the last one that served, the supposed leader last. */
export function turn(
  nodes: readonly string[],
  last: string | undefined,
  leader: string | undefined,
): readonly string[] {
  const start = nodes.indexOf(last ?? '') + 1;
  const rotated = [...nodes.slice(start), ...nodes.slice(0, start)];
  return [...rotated.filter((name) => name !== leader), ...rotated.filter((name) => name === leader)];
}

export type Verdict =
  | { readonly kind: 'serve' }
  /** Would do, but nothing feeds it at present: second choice. */
  | { readonly kind: 'unfed' }
  | { readonly kind: 'behind' }
  | { readonly kind: 'skip'; readonly why: string };

/** Whether this node may serve a read that must not be older than `marks`. Lost marks hold nobody back. */
export function judge(view: NodeView, marks: readonly Mark[]): Verdict {
  if (view.identity !== null && view.identity !== view.name)
    return { kind: 'skip', why: `its database is called ${view.identity}` };
  if (view.identity === null || newestEpoch(view) === undefined)
    return { kind: 'skip', why: 'it belongs to no cluster' };
  if (isLeader(view)) return { kind: 'skip', why: 'it is the leader' };
  if (view.feed === 'copying') return { kind: 'skip', why: 'its initial copy is not finished' };
  if (view.feed === 'none') return { kind: 'skip', why: 'it has no subscription' };
  const answers = marks.map((mark) => satisfies(mark, view));
  if (answers.some((answer) => answer === 'behind' || answer === 'uncertain')) return { kind: 'behind' };
  return view.feed === 'gone' ? { kind: 'unfed' } : { kind: 'serve' };
}

/** The marks that a failover cut off, as this node's epochs tell. */
export const lostMarks = (view: NodeView, marks: readonly Mark[]): readonly Mark[] =>
  marks.filter((mark) => satisfies(mark, view) === 'lost');

/** The marks of which this node's epochs cannot tell whether a failover cut them off. */
export const uncertainMarks = (view: NodeView, marks: readonly Mark[]): readonly Mark[] =>
  marks.filter((mark) => satisfies(mark, view) === 'uncertain');

/**
 * Whether somebody who leads in his own eyes may serve these marks. A former leader that does not know of its
 * successor yet shows what it has, which is older than what a session saw under the successor.
 */
export const isOutdated = (view: NodeView, marks: readonly Mark[]): boolean =>
  marks.some((mark) => mark.epoch > (newestEpoch(view)?.epoch ?? 0));
