/** Reads: replicas take turns; a session never reads older than its level allows. */
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, RepctlError } from '../errors.js';
import type { Session } from '../postgres/session.js';
import { isConnectionLoss } from '../postgres/sqlstate.js';
import { askUntil, findLeader } from './ask.js';
import {
  type ReadLevel,
  highestEpoch,
  isOutdated,
  judge,
  lostMarks,
  turn,
  uncertainMarks,
  wantedMarks,
} from './route.js';
import { type Mark, type NodeView, type SessionState, isLeader, newestEpoch } from './token.js';
import { positionAfterRead, viewNode } from './view.js';
import { type Routing, lostText, uncertainText } from './write.js';

export interface ReadRequest {
  readonly level: ReadLevel;
  /** Serve from this node, whatever it is. */
  readonly node?: string | undefined;
  /** The body may be run again on another node when the connection is lost; default true. */
  readonly repeatable?: boolean;
}

export interface Served {
  readonly node: string;
  readonly role: 'leader' | 'replica';
  readonly epoch: number | null;
  readonly why: string;
}

interface Choice extends Served {
  readonly view: NodeView;
}

/**
 * Runs `body` on the node that may serve this read, then records what the session has now seen. Throws
 * RepctlError: `no-node-reachable` (exit 3), findLeader's with level strong, and what body throws.
 */
export async function read<T>(
  routing: Routing,
  request: ReadRequest,
  body: (session: Session, served: Served) => Promise<T>,
): Promise<{ value: T; served: Served }> {
  const excluded = new Set<string>();
  for (;;) {
    const choice = await choose(routing, request, excluded);
    const { view, ...served } = choice;
    routing.note(`read: ${served.node} (${served.role}) serves: ${served.why}`);
    try {
      const session = await routing.fleet.session(served.node);
      const value = await body(session, served);
      await record(routing, choice, session);
      return { value, served };
    } catch (error) {
      const again = request.repeatable !== false && request.node === undefined && isConnectionLoss(error);
      if (!again || excluded.has(view.name)) throw error;
      excluded.add(view.name);
      routing.note(`read: ${view.name} was lost meanwhile; asking another node`, true);
    }
  }
}

async function choose(
  routing: Routing,
  request: ReadRequest,
  excluded: ReadonlySet<string>,
): Promise<Choice> {
  const { fleet, store } = routing;
  const ask = async (name: string): Promise<NodeView> => viewNode(await fleet.session(name), true);
  if (request.node !== undefined) return pinned(routing, request.node, ask);
  if (request.level === 'strong') {
    const leader = await findLeader(fleet, store.readPointer().leader);
    return as(leader.view, 'level strong reads the leader');
  }
  return spread(routing, request.level, excluded, ask);
}

async function pinned(
  routing: Routing,
  name: string,
  ask: (name: string) => Promise<NodeView>,
): Promise<Choice> {
  const node = routing.fleet.node(name).name;
  const view = await ask(node);
  if (view.identity !== null && view.identity !== node)
    routing.note(`! ${node}: its database is called ${view.identity}`, true);
  return as(view, 'asked for with --node');
}

const as = (view: NodeView, why: string): Choice => ({
  node: view.name,
  role: isLeader(view) ? 'leader' : 'replica',
  epoch: newestEpoch(view)?.epoch ?? null,
  why,
  view,
});

async function spread(
  routing: Routing,
  level: ReadLevel,
  excluded: ReadonlySet<string>,
  ask: (name: string) => Promise<NodeView>,
): Promise<Choice> {
  const { fleet, store, note } = routing;
  const pointer = store.readPointer();
  const names = fleet.config.nodes.map((node) => node.name).filter((name) => !excluded.has(name));
  const memory = store.readSession(routing.session);
  const wanted = (view: NodeView): readonly Mark[] =>
    memory.born === view.born ? wantedMarks(level, memory) : [];
  const order = turn(names, pointer.last, pointer.leader);
  const verdict = (view: NodeView) => judge(view, wanted(view));

  const { views, failures } = await askUntil(order, 1, ask, (answers) =>
    answers.views.some((view) => verdict(view).kind === 'serve'),
  );
  for (const failure of failures.values()) note(`read: skipped, ${failure.message}`);
  for (const view of views) {
    const judged = verdict(view);
    if (judged.kind === 'skip') note(`read: ${view.name} skipped, ${judged.why}`);
    if (judged.kind === 'behind') note(`read: ${view.name} is behind this session`);
  }
  const lost = views.flatMap((view) => lostMarks(view, wanted(view)).map((mark) => ({ mark, view })));
  const first = lost[0];
  if (first) {
    note(lostText(first.mark, newestEpoch(first.view)?.epoch ?? 0), true);
    await store
      .forget(
        routing.session,
        lost.map(({ mark }) => mark),
      )
      .catch(() => undefined);
  }
  const inTurn = (view: NodeView): string =>
    wanted(view).length === 0 ? 'its turn' : `its turn, and it has all that this session needs`;
  const served = views.find((view) => verdict(view).kind === 'serve');
  if (served) return as(served, inTurn(served));

  const behind = views.filter((view) => verdict(view).kind === 'behind' && view.feed === 'live');
  const caughtUp = await waitFor(behind, ask, verdict, routing.patienceMs);
  if (caughtUp) return as(caughtUp, 'it caught up with what this session needs');
  const resort = lastResort(views, failures.values(), { verdict, wanted, note });
  const doubtful = resort.role === 'leader' ? uncertainMarks(resort.view, wanted(resort.view)) : [];
  if (doubtful[0]) {
    // Nobody will ever know better: told once, like a loss.
    note(uncertainText(doubtful[0], resort.epoch ?? 0), true);
    await store.forget(routing.session, doubtful).catch(() => undefined);
  }
  return resort;
}

/** Asks the replicas that are behind again and again; the first that has caught up. */
async function waitFor(
  behind: readonly NodeView[],
  ask: (name: string) => Promise<NodeView>,
  verdict: (view: NodeView) => { kind: string },
  patienceMs: number,
): Promise<NodeView | undefined> {
  const deadline = Date.now() + patienceMs;
  for (let pause = 2; behind.length > 0 && Date.now() < deadline; pause = Math.min(pause * 2, 50)) {
    await delay(pause);
    const views = await Promise.allSettled(behind.map((view) => ask(view.name)));
    const found = views.find((view) => view.status === 'fulfilled' && verdict(view.value).kind === 'serve');
    if (found?.status === 'fulfilled') return found.value;
  }
  return undefined;
}

interface Judging {
  readonly verdict: (view: NodeView) => { kind: string };
  readonly wanted: (view: NodeView) => readonly Mark[];
  readonly note: Routing['note'];
}

/** No replica would do: the leader, as far as anyone knows it; without one, a replica that nothing feeds. */
function lastResort(
  views: readonly NodeView[],
  failures: Iterable<RepctlError>,
  { verdict, wanted, note }: Judging,
): Choice {
  const named = highestEpoch(views);
  const leader = views.find(
    (view) => view.name === named?.leader && isLeader(view) && !isOutdated(view, wanted(view)),
  );
  const unfed = views.find((view) => verdict(view).kind === 'unfed');
  if (leader) {
    note(`read: no replica can serve this read now; the leader ${leader.name} does`, true);
    return as(leader, 'no replica could');
  }
  if (unfed) {
    note(`! ${unfed.name} serves, though nothing feeds it at present: repctl status`, true);
    return as(unfed, 'the only one left; nothing feeds it at present');
  }
  const reasons = [...failures].map((failure) => failure.message);
  const unanswered = views.length === 0;
  throw new RepctlError(
    unanswered ? 'no-node-reachable' : 'no-node-serves',
    unanswered
      ? 'No node of this cluster can be reached.'
      : 'No node that answers can serve this read: the leader is not reachable and no replica has what this session needs.',
    {
      exit: EXIT.unreachable,
      hint: ['repctl status; --level eventual takes any replica', ...reasons].join('\n'),
      details: { reasons },
    },
  );
}

/** Taken after the rows, so at or past everything they showed. */
async function record(routing: Routing, choice: Choice, session: Session): Promise<void> {
  const { store, fleet } = routing;
  const newest = newestEpoch(choice.view);
  if (newest === undefined) return;
  try {
    const lsn = await positionAfterRead(session, choice.role === 'leader');
    // A replica's LSN counts in its subscription's epoch; before that epoch's row has come it says nothing yet.
    const comparable =
      choice.role === 'leader' ||
      choice.view.position === null ||
      choice.view.position.epoch === newest.epoch;
    if (lsn !== null && comparable) {
      const seen: Mark = { epoch: newest.epoch, leader: newest.leader, before: lsn, after: lsn };
      const add: SessionState = { born: choice.view.born, written: null, seen };
      await store.addToSession(routing.session, add);
    }
    const leader = fleet.config.nodes.some((node) => node.name === newest.leader) ? newest.leader : undefined;
    store.writePointer({
      ...store.readPointer(),
      ...(choice.role === 'replica' ? { last: choice.node } : {}),
      ...(leader === undefined ? {} : { leader }),
    });
  } catch (error) {
    if (!(error instanceof RepctlError) || error.code === 'connection-lost') return;
    routing.note(`! this read could not be remembered: ${error.message}`, true);
  }
}
