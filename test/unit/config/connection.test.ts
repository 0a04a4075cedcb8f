import { describe, expect, it } from 'vitest';
import { assertDirectHost, connectionOf, conninfoOf, isPooledHost } from '../../../src/config/connection.js';

const env = { HOME: '/nonexistent' };

describe('conninfoOf', () => {
  it.each([
    [
      'postgres://u:p%40%27%5C%20w@127.0.0.1:5433/shop',
      `host='127.0.0.1' port='5433' user='u' dbname='shop' password='p@\\'\\\\ w' application_name='n2'`,
    ],
    [
      'postgres://u:p@db.example/shop?sslmode=verify-full&sslrootcert=system',
      `host='db.example' port='5432' user='u' dbname='shop' password='p' sslmode='verify-full' sslrootcert='system' application_name='n2'`,
    ],
    [
      'host=db.example user=u dbname=shop application_name=x',
      `host='db.example' port='5432' user='u' dbname='shop' sslmode='require' application_name='n2'`,
    ],
  ])('%s', (url, expected) => {
    expect(conninfoOf(url, { application_name: 'n2' }, env)).toBe(expected);
  });

  it('spells out what the environment gives, because the other server has another one', () => {
    const variables = {
      ...env,
      PGUSER: 'pu',
      PGPASSWORD: 'pp',
      PGDATABASE: 'pd',
      PGPORT: '7',
      PGSSLMODE: 'disable',
    };
    expect(conninfoOf('postgres://h.example', { application_name: 'n1' }, variables)).toBe(
      `host='h.example' port='7' user='pu' dbname='pd' password='pp' sslmode='disable' application_name='n1'`,
    );
  });
});

describe('pooled hosts', () => {
  it.each([
    ['postgres://u@ep-cool-name-pooler.eu.neon.tech/db', true],
    ['postgres://u@ep-cool-name.eu.neon.tech/db', false],
    ['postgres://u@h/db-pooler', false],
  ])('%s', (url, pooled) => {
    expect(isPooledHost(url, env)).toBe(pooled);
  });

  it('refuses with a hint', () => {
    expect(() => {
      assertDirectHost({ name: 'n1', url: 'postgres://u:p@a-pooler.neon.tech/db' });
    }).toThrow(/n1 is reached through a connection pooler/);
  });
});

describe('connectionOf', () => {
  it('takes everything from the URL', () => {
    expect(connectionOf('postgres://u:p@127.0.0.1:5433/shop', env)).toMatchObject({
      host: '127.0.0.1',
      port: 5433,
      user: 'u',
      password: 'p',
      database: 'shop',
      ssl: false,
    });
  });
});
