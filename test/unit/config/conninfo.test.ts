import { describe, expect, it } from 'vitest';
import { parseConninfo } from '../../../src/config/conninfo.js';
import { RepctlError } from '../../../src/errors.js';

describe('parseConninfo', () => {
  it.each([
    ['postgres://u:p@h:5433/d', { user: 'u', password: 'p', host: 'h', port: '5433', dbname: 'd' }],
    ['postgresql://h', { host: 'h' }],
    ['postgres://u@[::1]:5/d', { user: 'u', host: '::1', port: '5', dbname: 'd' }],
    ['postgres:///d?host=/run/pg', { host: '/run/pg', dbname: 'd' }],
    ['postgres://u@%2Frun%2Fpg/d', { user: 'u', host: '/run/pg', dbname: 'd' }],
    // What libpq takes unencoded: a second colon and a hash.
    ['postgres://u:a:b#c@h/d', { user: 'u', password: 'a:b#c', host: 'h', dbname: 'd' }],
    ['postgres://u:%40%3A%2F%25%23%20@h/d', { user: 'u', password: '@:/%# ', host: 'h', dbname: 'd' }],
    ['postgres://h/d?ssl=true', { host: 'h', dbname: 'd', sslmode: 'require' }],
    [
      'postgres://h/d?sslmode=require&channel_binding=require',
      { host: 'h', dbname: 'd', sslmode: 'require', channel_binding: 'require' },
    ],
    [
      `host=h  user = 'a b' password='it\\'s \\\\ x'  dbname=d`,
      { host: 'h', user: 'a b', password: `it's \\ x`, dbname: 'd' },
    ],
    ['host=h password=a\\ b', { host: 'h', password: 'a b' }],
    ['service=prod', { service: 'prod' }],
  ])('%s', (text, expected) => {
    expect(parseConninfo(text)).toEqual(expected);
  });

  it.each([
    ['postgres://u:pa@ss@h/d', /@ where none belongs.*%40/],
    ['postgres://u:pa/ss@h/d', /\/ where none belongs.*%2F/],
    ['postgres://u:pa?ss@h/d', /\? where none belongs.*%3F/],
    ['postgres://u:100%@h/d', /password has a %.*%25/],
    ['postgres://h:port/d', /port must be a number/],
    ['postgres://h:0/d', /port must be a number/],
    ['postgres://h:70000/d', /port must be a number/],
    ['postgres://h1,h2/d', /a node is one server/],
    ['postgres://h/d?sslmod=require', /no parameter "sslmod"/],
    ['postgres://h/d?flag', /has no value/],
    ['mysql://h/d', /Neither a postgres:\/\/ URL nor key=value/],
    ['host=h user=', /./],
    ['host = h bogus', /Neither/],
    ['host=h pasword=x', /no parameter "pasword"/],
    ["host='h", /Neither/],
    ['', /empty/],
  ])('refuses %s', (text, message) => {
    if (text === 'host=h user=') {
      // An empty value is as good as none, as in libpq.
      expect(parseConninfo(text)).toEqual({ host: 'h' });
      return;
    }
    let error: unknown;
    try {
      parseConninfo(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(RepctlError);
    expect((error as RepctlError).code).toBe('url-invalid');
    expect((error as RepctlError).message).toMatch(message);
    expect(`${(error as RepctlError).message}${(error as RepctlError).hint ?? ''}`).not.toMatch(
      /pa[@/?]?ss[@h]/,
    );
  });

  it('says what was meant', () => {
    expect(() => parseConninfo('postgres://h/d?sslmod=x')).toThrow(
      expect.objectContaining({ hint: 'Did you mean sslmode?' }),
    );
  });
});
