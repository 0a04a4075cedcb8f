/** Where the reference service keeps what a session wrote and saw: in a token that travels, or in its own memory. */
import { memoryStore } from '../../routing/memory-store.js';
import type { Pointer, RoutingStore } from '../../routing/store.js';
import { EMPTY_SESSION, type SessionState } from '../../routing/token.js';

export interface Visit {
  readonly store: RoutingStore;
  /** The session's name in that store. */
  readonly session: string;
  /** What the client is to send next time. */
  cookie(): string;
}

/** A visit for each request, from the cookie that it came with. */
export type Sessions = (cookie: string | undefined) => Visit;

/** The process remembers nothing of anybody: any other one can serve the next request. */
export function tokenSessions(): Sessions {
  // Who leads and whose turn it is are hints of the process, no part of a session.
  let pointer: Pointer = {};
  return (cookie) => {
    const own = memoryStore();
    void own.addToSession('token', stateOf(cookie));
    const store: RoutingStore = {
      ...own,
      readPointer: () => pointer,
      writePointer(next) {
        pointer = next;
      },
    };
    return {
      store,
      session: 'token',
      cookie: () => Buffer.from(JSON.stringify(own.readSession('token'))).toString('base64url'),
    };
  };
}

/** The cookie is only a name: what it stands for is gone with the process. */
export function processSessions(): Sessions {
  const store = memoryStore();
  return (cookie) => {
    const session = cookie ?? crypto.randomUUID();
    return { store, session, cookie: () => session };
  };
}

/** A token that is none is no memory. It is not signed: who changes his own only cheats himself of his guarantees. */
function stateOf(cookie: string | undefined): SessionState {
  try {
    const state = JSON.parse(Buffer.from(cookie ?? '', 'base64url').toString()) as Partial<SessionState>;
    const { born = null, written = null, seen = null } = state;
    return { born, written, seen };
  } catch {
    return EMPTY_SESSION;
  }
}
