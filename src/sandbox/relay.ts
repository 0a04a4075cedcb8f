/**
 * A TCP relay whose routes can be cut: what the proxy process runs.
 *
 * A cut comes in two kinds. `silent` (the default) is what a real partition looks like: connections stay
 * open and nothing passes, not even the news that one side has closed; new ones are accepted by the kernel
 * and never answered; after healing everything goes on where it stood, as TCP does. `reset` is what a
 * firewall that rejects or a dying host looks like: connections are reset at once, new ones too.
 *
 * A route can also be slow: each piece of data comes out so long after it came in, in the same order, as on a long
 * line. What is on the line when a cut falls comes out after it, as it would.
 */
import { type Server, type Socket, connect, createServer } from 'node:net';
import type { Transform } from 'node:stream';
import { delayLine } from './delay-line.js';
import type { ProxyRoute } from './model.js';

export type Passage = 'open' | 'silent' | 'reset';

export interface RouteStatus {
  readonly from: string;
  readonly to: string;
  readonly listen: number;
  readonly passage: Passage;
  /** Milliseconds each way. */
  readonly delayMs: number;
  readonly connections: number;
  /** Bytes that `to` has sent to `from` since the proxy began. */
  readonly answered: number;
}

export interface Relay {
  /** Changes the routes for which `select` is true; returns how many. */
  set(passage: Passage, select: (route: ProxyRoute) => boolean): number;
  /** Makes the routes slow, or quick again with 0: connections that are open, too. Returns how many. */
  delay(ms: number, select: (route: ProxyRoute) => boolean): number;
  status(): RouteStatus[];
  close(): Promise<void>;
}

/** One client and its connection to the server, which is missing while the route is silent. */
interface Pair {
  readonly client: Socket;
  server?: Socket;
  /** Client to server and back. */
  readonly lines: readonly [Transform, Transform];
  frozen: boolean;
}

interface Gate {
  readonly route: ProxyRoute;
  readonly listener: Server;
  readonly pairs: Set<Pair>;
  passage: Passage;
  delayMs: number;
  answered: number;
}

/** Listens on every route's port. Rejects when one of them is taken; nothing listens then. */
export async function openRelay(routes: readonly ProxyRoute[]): Promise<Relay> {
  const gates = routes.map(makeGate);
  const close = async (): Promise<void> => {
    for (const gate of gates) for (const pair of gate.pairs) drop(gate, pair);
    await Promise.all(gates.map((gate) => new Promise((resolve) => gate.listener.close(resolve))));
  };
  const opened = await Promise.allSettled(gates.map(listen));
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed) {
    await close();
    throw failed.reason;
  }
  return {
    set(passage, select) {
      const chosen = gates.filter((gate) => select(gate.route));
      for (const gate of chosen) change(gate, passage);
      return chosen.length;
    },
    delay(ms, select) {
      const chosen = gates.filter((gate) => select(gate.route));
      for (const gate of chosen) gate.delayMs = ms;
      return chosen.length;
    },
    status: () =>
      gates.map(({ route, passage, delayMs, pairs, answered }) => ({
        from: route.from,
        to: route.to,
        listen: route.listen,
        passage,
        delayMs,
        connections: pairs.size,
        answered,
      })),
    close,
  };
}

const listen = (gate: Gate): Promise<void> =>
  new Promise((resolve, reject) => {
    gate.listener.once('error', reject);
    gate.listener.listen({ host: '127.0.0.1', port: gate.route.listen }, resolve);
  });

function makeGate(route: ProxyRoute): Gate {
  // pauseOnConnect: nothing is read before there is somewhere to write it to. allowHalfOpen: each side's
  // end is passed on by itself, as without a proxy.
  const gate: Gate = {
    route,
    listener: createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      accept(gate, client);
    }),
    pairs: new Set(),
    passage: 'open',
    delayMs: 0,
    answered: 0,
  };
  return gate;
}

function accept(gate: Gate, client: Socket): void {
  const there = delayLine(() => gate.delayMs);
  const back = delayLine(
    () => gate.delayMs,
    (bytes) => (gate.answered += bytes),
  );
  const pair: Pair = { client, lines: [there, back], frozen: true };
  gate.pairs.add(pair);
  watch(gate, pair, client);
  if (gate.passage === 'reset') drop(gate, pair, true);
  else if (gate.passage === 'open') thaw(gate, pair);
}

/** An end that comes by force (reset, or closed for good) ends the other side too, unless the route is silent. */
function watch(gate: Gate, pair: Pair, socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    if (!pair.frozen || pair.server === undefined) drop(gate, pair, true);
  });
}

function drop(gate: Gate, pair: Pair, reset = false): void {
  gate.pairs.delete(pair);
  for (const line of pair.lines) line.destroy();
  for (const socket of [pair.client, pair.server]) {
    if (socket === undefined || socket.destroyed) continue;
    if (socket.writableFinished && socket.readableEnded) socket.destroy();
    else if (reset && !socket.connecting) socket.resetAndDestroy();
    else socket.destroy();
  }
}

/** Lets bytes pass, from where they stood. */
function thaw(gate: Gate, pair: Pair): void {
  pair.frozen = false;
  if (pair.client.destroyed || pair.server?.destroyed) {
    drop(gate, pair, true);
    return;
  }
  if (pair.server === undefined) {
    pair.server = connect({ host: '127.0.0.1', port: gate.route.target, allowHalfOpen: true, noDelay: true });
    watch(gate, pair, pair.server);
  }
  const [there, back] = pair.lines;
  pair.client.pipe(there).pipe(pair.server);
  pair.server.pipe(back).pipe(pair.client);
}

function freeze(pair: Pair): void {
  pair.frozen = true;
  if (pair.server === undefined) return;
  const [there, back] = pair.lines;
  pair.client.unpipe(there);
  pair.server.unpipe(back);
  there.unpipe(pair.server);
  back.unpipe(pair.client);
  pair.client.pause();
  pair.server.pause();
}

function change(gate: Gate, passage: Passage): void {
  if (gate.passage === passage) return;
  gate.passage = passage;
  for (const pair of [...gate.pairs]) {
    if (passage === 'reset') drop(gate, pair, true);
    else if (passage === 'silent') freeze(pair);
    else thaw(gate, pair);
  }
}
