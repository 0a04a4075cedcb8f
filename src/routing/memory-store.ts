/** As openStore, in the memory of a program that goes on: what its sessions wrote and saw. */
import type { Pointer, RoutingStore } from './store.js';
import { EMPTY_SESSION, type Mark, type SessionState, mergeSessions } from './token.js';

export function memoryStore(): RoutingStore {
  const sessions = new Map<string, SessionState>();
  let pointer: Pointer = {};
  const read = (name: string): SessionState => sessions.get(name) ?? EMPTY_SESSION;
  return {
    readSession: read,
    addToSession(name, add) {
      sessions.set(name, mergeSessions(read(name), add));
      return Promise.resolve();
    },
    forget(name, marks) {
      const old = read(name);
      const kept = (mark: Mark | null): Mark | null =>
        mark !== null && marks.some((one) => one.epoch === mark.epoch && one.after === mark.after)
          ? null
          : mark;
      sessions.set(name, { ...old, written: kept(old.written), seen: kept(old.seen) });
      return Promise.resolve();
    },
    readPointer: () => pointer,
    writePointer(next) {
      pointer = next;
    },
  };
}
