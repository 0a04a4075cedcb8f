/** Asks every node at once what it is and does. A dead node costs its connect timeout and hides nobody. */
import { EXIT, RepctlError } from '../errors.js';
import { compareLsn, type Lsn, maxLsn } from '../postgres/lsn.js';
import type { Session } from '../postgres/session.js';
import { isConnectionLoss } from '../postgres/sqlstate.js';
import { translateError } from '../postgres/sqlstate.js';
import type { Fleet } from './fleet.js';
import { readHolders } from './lock.js';
import type { NodeSnapshot, ReachableNode, Snapshot, SubscriptionInfo } from './model.js';
import { subscriptionEpoch } from './names.js';
import { withPending } from './pending.js';
import { type RawState, toNode } from './observe-map.js';
import { type Greeting, greetingSql, lastOriginSql, stateSql } from './observe-sql.js';
import { within } from './within.js';

export interface ObserveOptions {
  /** Only these nodes; default all of the configuration. Throws `unknown-node` for one that is not there. */
  readonly nodes?: readonly string[];
  readonly signal?: AbortSignal;
  /** Also decode what waits in the leader's idle slots (bounded), so that the time behind is known. */
  readonly pending?: boolean;
  /** Also ask who holds the lock of operations. */
  readonly holders?: boolean;
}

/** One snapshot of the cluster, nodes in the order of the configuration. Only throws for an unknown node or an abort. */
export async function observe(fleet: Fleet, options: ObserveOptions = {}): Promise<Snapshot> {
  options.signal?.throwIfAborted();
  for (const name of options.nodes ?? []) fleet.node(name);
  const wanted = fleet.config.nodes.filter((node) => options.nodes?.includes(node.name) ?? true);
  const takenAt = new Date().toISOString();
  const nodes = await Promise.all(wanted.map((node) => observeNode(fleet, node.name)));
  options.signal?.throwIfAborted();
  const held = options.holders === true ? { holders: await readHolders(fleet, namesOf(nodes)) } : {};
  const snapshot = { cluster: fleet.config.cluster, takenAt, nodes, ...held };
  return options.pending === true ? withPending(fleet, snapshot) : snapshot;
}

/** Those that answered: the others are not waited for twice. */
const namesOf = (nodes: readonly NodeSnapshot[]): readonly string[] =>
  nodes.filter((node) => node.reachable).map((node) => node.name);

async function observeNode(fleet: Fleet, name: string): Promise<NodeSnapshot> {
  try {
    return await ask(fleet, name);
  } catch (error) {
    const failure = translateError(error, { node: name, phase: 'query' });
    // A session kept from before the server restarted says nothing about the server that is there now.
    if (failure.code === 'connection-lost') {
      try {
        return await ask(fleet, name);
      } catch (second) {
        return unreachable(name, translateError(second, { node: name, phase: 'query' }));
      }
    }
    return unreachable(name, failure);
  }
}

const unreachable = (name: string, failure: RepctlError): NodeSnapshot => ({
  name,
  reachable: false,
  code: failure.code,
  message: failure.message,
});

async function ask(fleet: Fleet, name: string): Promise<ReachableNode> {
  const limit = fleet.config.connectTimeoutMs;
  const began = performance.now();
  const session = await within(fleet.patience(name), name, fleet.session(name)).catch((error: unknown) => {
    fleet.waitedInVain(name, performance.now() - began);
    throw error;
  });
  try {
    const sent = Date.now();
    const start = performance.now();
    const [greeting] = await within(limit, name, session.prepared<Greeting>(greetingSql));
    const roundTripMs = performance.now() - start;
    if (!greeting) throw new RepctlError('sql-error', `${name}: the server sent no answer.`);
    if (greeting.version_num < OLDEST_VERSION) throw unsupported(name, greeting.version_num);
    const [answer] = await within(limit, name, session.prepared<{ state: RawState }>(stateSql(greeting)));
    if (!answer) throw new RepctlError('sql-error', `${name}: the server sent no answer.`);
    const node = toNode(name, greeting, answer.state, {
      roundTripMs,
      clockOffsetMs: Date.parse(greeting.now) - (sent + roundTripMs / 2),
    });
    return greeting.origins ? node : await withPeekedPositions(fleet, node);
  } catch (error) {
    // After a timeout the answer may still come: the session must not be used for another question.
    if (isConnectionLoss(error)) void session.close();
    throw error;
  }
}

/** Row filters, column lists and pg_stat_subscription_stats, on which repctl rests, came with 15. */
const OLDEST_VERSION = 150_000;

const unsupported = (node: string, version: number): RepctlError =>
  new RepctlError(
    'version-unsupported',
    `${node} runs PostgreSQL ${String(Math.floor(version / 10_000))}; repctl needs 15 or later.`,
    { exit: EXIT.refused, hint: 'Upgrade the server.', details: { node, version } },
  );

/** Fills applied positions in by decoding one of the node's own slots; says why where that is not possible. */
async function withPeekedPositions(fleet: Fleet, node: ReachableNode): Promise<ReachableNode> {
  if (!node.subscriptions.some((it) => it.own)) return node;
  // The shortest first: what is left to decode there is least.
  const idle = node.slots
    .filter((it) => it.own && it.database === node.database && !it.active && it.confirmedFlushLsn !== null)
    .toSorted((a, b) => compareLsn(b.confirmedFlushLsn ?? '0/0', a.confirmedFlushLsn ?? '0/0'));
  const unknown =
    (why: string) =>
    (it: SubscriptionInfo): SubscriptionInfo =>
      it.own ? { ...it, appliedUnknown: why } : it;
  if (idle.length === 0)
    return { ...node, subscriptions: node.subscriptions.map(unknown('it has no idle slot to read')) };
  let session: Session | undefined;
  try {
    // A session of its own: decoding fills a backend's caches with catalog state of other moments.
    session = await fleet.fresh(node.name);
    const subscriptions: SubscriptionInfo[] = [];
    for (const it of node.subscriptions) {
      if (!it.own) {
        subscriptions.push(it);
        continue;
      }
      let lsn: Lsn | null = null;
      for (const slot of idle) lsn ??= await lastOrigin(session, slot.name, it.oid);
      lsn ??= highestBase(node, it);
      subscriptions.push(
        lsn === null
          ? unknown(`slots ${idle.map((slot) => slot.name).join(', ')} hold no transaction of it`)(it)
          : { ...it, appliedLsn: lsn },
      );
    }
    return { ...node, subscriptions };
  } catch (error) {
    const { message } = translateError(error, { node: node.name, phase: 'query' });
    return { ...node, subscriptions: node.subscriptions.map(unknown(message)) };
  } finally {
    await session?.close();
  }
}

/**
 * Where no slot holds a transaction of the subscription: a sibling's slot holds everything after its base, so
 * nothing came after that, and the node itself had reached the base when it was noted. The leader's slot is no
 * such witness: it is moved on without its base.
 */
function highestBase(node: ReachableNode, subscription: SubscriptionInfo): Lsn | null {
  const epoch = subscriptionEpoch(subscription.name);
  const leader = node.epochs.find((row) => row.epoch === epoch)?.leader;
  return node.standbyBases
    .filter((base) => base.epoch === epoch && base.sibling !== leader)
    .reduce<Lsn | null>((best, { baseLsn }) => (best === null ? baseLsn : maxLsn(best, baseLsn)), null);
}

async function lastOrigin(session: Session, slot: string, subscription: number): Promise<Lsn | null> {
  const [row] = await session.query<{ lsn: string }>(lastOriginSql, [slot, `pg_${String(subscription)}`]);
  if (!row) return null;
  const half = (text: string) => Number.parseInt(text, 16).toString(16).toUpperCase();
  return `${half(row.lsn.slice(0, 8))}/${half(row.lsn.slice(8))}`;
}
