import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RoutingStore, openStore } from '../../../src/routing/store.js';
import { EMPTY_SESSION, type SessionState } from '../../../src/routing/token.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'repctl-store-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const written = (after: string): SessionState => ({
  born: 'b',
  written: { epoch: 1, leader: 'n1', before: '0/1', after },
  seen: null,
});
const after = (store: RoutingStore, name: string): string | undefined =>
  store.readSession(name).written?.after;

describe('openStore', () => {
  it('remembers sessions apart, in files of their own, 0600', async () => {
    const store = openStore(dir, 'shop');
    await store.addToSession('a/../b', written('0/A'));
    expect(after(store, 'a/../b')).toBe('0/A');
    expect(store.readSession('other')).toEqual(EMPTY_SESSION);
    const directory = path.join(dir, 'sessions', 'shop');
    const files = readdirSync(directory);
    expect(files).toEqual(['session-a%2F%2E%2E%2Fb.json']);
    expect(statSync(path.join(directory, files[0]!)).mode & 0o777).toBe(0o600);
  });

  it('keeps the latest of many at once', async () => {
    const store = openStore(dir, 'many');
    await Promise.all(
      Array.from({ length: 30 }, (_, n) => store.addToSession('s', written(`0/${(n + 1).toString(16)}`))),
    );
    expect(after(store, 's')).toBe('0/1e');
    expect(readdirSync(path.join(dir, 'sessions', 'many'))).toEqual(['session-s.json']);
  });

  it('takes a lock that a killed run left', async () => {
    const store = openStore(dir, 'stale');
    await store.addToSession('s', written('0/1'));
    const lock = path.join(dir, 'sessions', 'stale', 'session-s.json.lock');
    writeFileSync(lock, '1');
    utimesSync(lock, new Date(0), new Date(0));
    await store.addToSession('s', written('0/2'));
    expect(after(store, 's')).toBe('0/2');
  });

  it('reads a damaged file as no memory', async () => {
    const store = openStore(dir, 'bad');
    await store.addToSession('s', written('0/1'));
    writeFileSync(path.join(dir, 'sessions', 'bad', 'session-s.json'), '{"written":{"epoch":"x"');
    expect(store.readSession('s')).toEqual(EMPTY_SESSION);
  });

  it('says when it cannot write (exit 7)', async () => {
    writeFileSync(path.join(dir, 'file'), '');
    const store = openStore(path.join(dir, 'file'), 'shop');
    await expect(store.addToSession('s', written('0/1'))).rejects.toMatchObject({
      code: 'session-unwritable',
      exit: 7,
    });
  });
});
