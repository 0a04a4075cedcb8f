import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redact, redactDeep } from '../../../src/config/redact.js';
import { conninfoPair, literal } from '../../../src/postgres/quote.js';

describe('redact', () => {
  it.each([
    ['postgres://u:secret@h:1/db', 'postgres://u:***@h:1/db'],
    ['at postgres://u:p%40ss/w@h/db now', 'at postgres://u:***@h/db now'],
    ['postgres://u:a@h1/d postgres://v:b@h2/d', 'postgres://u:***@h1/d postgres://v:***@h2/d'],
    [`url: postgres://u:se cr'et@h/db`, 'url: postgres://u:***@h/db'],
    ['postgres://u:secr', 'postgres://u:***'],
    ['postgres://h:5432/db, mail a@b', 'postgres://h:5432/db, mail a@b'],
    ['postgres://h:5432', 'postgres://h:5432'],
    ['postgres://u:${PW}@h/db', 'postgres://u:${PW}@h/db'],
    [
      'postgres://h/d?user=u&password=x&sslmode=require',
      'postgres://h/d?user=u&password=***&sslmode=require',
    ],
    [`host=h password='it\\'s' dbname=x`, 'host=h password=*** dbname=x'],
    ['password=abc', 'password=***'],
    ['PGPASSWORD=abc psql', 'PGPASSWORD=*** psql'],
    [`alter role r password 'it''s' login`, `alter role r password *** login`],
    [`{"password": "a\\"b", "x": 1}`, `{"password": "***", "x": 1}`],
    ['password_required=false', 'password_required=false'],
    ['nothing to hide', 'nothing to hide'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  // The subscription's connection string, alone and within SQL: any password that PostgreSQL can hold.
  it('hides every password in a connection string and in the SQL around it', () => {
    const secret = fc
      .array(fc.constantFrom('K', 'Q', 'Z', "'", '\\', '@', ':', '/', '%', '#', ' ', '"', '=', '$'), {
        minLength: 1,
        maxLength: 12,
      })
      .map((parts) => parts.join(''))
      .filter((text) => /[KQZ]/.test(text));
    fc.assert(
      fc.property(secret, (password) => {
        const conninfo = `host='h' ${conninfoPair('password', password)} application_name='n1'`;
        expect(redact(conninfo)).toBe(`host='h' password=*** application_name='n1'`);
        const sql = `create subscription s connection ${literal(conninfo)} publication p`;
        expect(redact(sql)).not.toMatch(/[KQZ]/);
        expect(redact(sql)).toMatch(/publication p$/);
        const url = `postgres://u:${encodeURIComponent(password)}@h/d`;
        expect(redact(`at ${url}.`)).toBe('at postgres://u:***@h/d.');
      }),
      { numRuns: 2000 },
    );
  });

  it('goes through values and leaves their shape', () => {
    const value = { a: ['postgres://u:x@h/d', 1, null], password: 'x', n: { at: 'fine' } };
    expect(redactDeep(value)).toEqual({
      a: ['postgres://u:***@h/d', 1, null],
      password: '***',
      n: { at: 'fine' },
    });
    expect(value.password).toBe('x');
  });
});
