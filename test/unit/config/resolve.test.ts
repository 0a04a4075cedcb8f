import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectionOf } from '../../../src/config/connection.js';
import { matchPassfile, parseServiceFile, resolveConnection } from '../../../src/config/resolve.js';

let home: string;
beforeAll(() => {
  home = mkdtempSync(path.join(tmpdir(), 'repctl-home-'));
  writeFileSync(path.join(home, '.pgpass'), 'h1:5432:d:u:one\n*:*:d:u:t\\:w\\\\o\nh3:*:*:*:three\n', {
    mode: 0o600,
  });
  writeFileSync(
    path.join(home, '.pg_service.conf'),
    '# mine\n[prod]\nhost=h9\nport=6543\nuser=svc\ndbname=shop\n\n[prod]\nhost=never\n[other]\nhost=o\n',
  );
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

describe('what libpq adds', () => {
  it.each<[string, string, Record<string, string>, Record<string, string>]>([
    [
      'PG* fill what is missing',
      'postgres://h',
      { PGUSER: 'pu', PGPASSWORD: 'pp', PGDATABASE: 'pd', PGPORT: '77' },
      { host: 'h', user: 'pu', password: 'pp', dbname: 'pd', port: '77' },
    ],
    [
      'the URL wins',
      'postgres://u:p@h:1/d',
      { PGUSER: 'pu', PGPASSWORD: 'pp', PGDATABASE: 'pd', PGPORT: '77' },
      { user: 'u', password: 'p', dbname: 'd', port: '1' },
    ],
    ['PGHOST', 'postgres:///d', { PGHOST: '/run/pg', PGUSER: 'u' }, { host: '/run/pg', port: '5432' }],
    ['database is the user by default', 'postgres://u@h', {}, { dbname: 'u' }],
    ['.pgpass', 'postgres://u@h1/d', {}, { password: 'one' }],
    ['.pgpass, escapes', 'postgres://u@h2/d', {}, { password: 't:w\\o' }],
    ['.pgpass after PGPASSWORD', 'postgres://u@h1/d', { PGPASSWORD: 'pp' }, { password: 'pp' }],
    [
      'service in the URL',
      'postgres://?service=prod',
      {},
      { host: 'h9', port: '6543', user: 'svc', dbname: 'shop' },
    ],
    ['service= as key=value, one key overridden', 'service=prod user=me', {}, { host: 'h9', user: 'me' }],
    ['PGSERVICE', 'dbname=x', { PGSERVICE: 'prod' }, { host: 'h9', dbname: 'x' }],
    [
      'service before environment',
      'service=prod',
      { PGUSER: 'pu', PGPORT: '1' },
      { user: 'svc', port: '6543' },
    ],
  ])('%s', (_name, url, env, expected) => {
    expect(resolveConnection(url, { HOME: home, ...env }).params).toMatchObject(expected);
  });

  it('ignores a password file that others can read, and says so', () => {
    const file = path.join(home, 'open.pgpass');
    writeFileSync(file, '*:*:*:*:pw\n');
    chmodSync(file, 0o644);
    const { params, warnings } = resolveConnection('postgres://u@h/d', { HOME: home, PGPASSFILE: file });
    expect(params['password']).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/can be read by others and is ignored: chmod 600/)]);
    mkdirSync(path.join(home, 'folder'));
    expect(resolveConnection(`host=h passfile=${home}/folder`, { HOME: home }).warnings[0]).toMatch(
      /not a plain file/,
    );
  });

  it('names an unknown service and where it looked', () => {
    expect(() => resolveConnection('service=nope', { HOME: home })).toThrow(
      expect.objectContaining({
        code: 'service-unknown',
        hint: expect.stringMatching(/\.pg_service\.conf and/) as string,
      }),
    );
  });
});

describe('files', () => {
  it('matches the first line', () => {
    const params = { host: '/run/pg', port: '5432', dbname: 'd', user: 'u' };
    expect(matchPassfile('# c\nlocalhost:5432:*:u:x:y\n', params)).toBe('x:y');
    expect(matchPassfile('localhost:5433:*:u:x\nbad line\n', params)).toBeUndefined();
  });

  it('keeps the first section of a name', () => {
    expect(parseServiceFile('[a]\nhost = h\n[a]\nhost=i\n').get('a')).toEqual({ host: 'h' });
  });
});

describe('TLS', () => {
  const ssl = (url: string, env: Record<string, string> = {}) =>
    connectionOf(url, { HOME: home, ...env }).ssl;

  it.each<[string, string, Record<string, string>, unknown]>([
    ['this machine', 'postgres://u@127.0.0.1/d', {}, false],
    ['a socket', 'postgres://u@/d?host=/run/pg', {}, false],
    ['another machine: verified', 'postgres://u@h.example/d', {}, { rejectUnauthorized: true }],
    ['disable', 'postgres://u@h.example/d?sslmode=disable', {}, false],
    ['PGSSLMODE', 'postgres://u@h.example/d', { PGSSLMODE: 'disable' }, false],
    [
      'require: encrypted, not verified',
      'postgres://u@h.example/d?sslmode=require',
      {},
      { rejectUnauthorized: false },
    ],
    [
      'verify-full on this machine',
      'postgres://u@localhost/d?sslmode=verify-full',
      {},
      { rejectUnauthorized: true },
    ],
  ])('%s', (_name, url, env, expected) => {
    if (expected === false) expect(ssl(url, env)).toBe(false);
    else expect(ssl(url, env)).toMatchObject(expected as object);
  });

  it('reads the root certificate itself; with one, require verifies the chain', () => {
    const root = path.join(home, 'root.pem');
    writeFileSync(root, 'CERT');
    expect(ssl('postgres://u@h/d?sslmode=require', { PGSSLROOTCERT: root })).toMatchObject({
      rejectUnauthorized: true,
      ca: 'CERT',
      checkServerIdentity: expect.any(Function) as unknown,
    });
    expect(ssl('postgres://u@h/d?sslrootcert=system')).not.toHaveProperty('ca');
    expect(() => ssl('postgres://u@h/d', { PGSSLROOTCERT: '/nonexistent.pem' })).toThrow(/sslrootcert: /);
  });

  it('refuses an unknown mode', () => {
    expect(() => ssl('postgres://u@h/d?sslmode=yes')).toThrow(/no sslmode "yes"/);
  });

  it('asks for a password only when the server wants one, and then says what to do', () => {
    const { password } = connectionOf('postgres://nobody@h.example/x', { HOME: '/nonexistent' });
    expect(password).toBeTypeOf('function');
    expect(password as () => void).toThrow(/h\.example asks for the password of nobody/);
  });
});
