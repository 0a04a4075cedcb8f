import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectionOf } from '../../../src/config/connection.js';
import { loadConfig, sandboxConfigPath } from '../../../src/config/load.js';
import { RepctlError } from '../../../src/errors.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'repctl-config-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

let count = 0;
function file(text: string, mode = 0o600): string {
  count += 1;
  const name = path.join(dir, `c${String(count)}.yaml`);
  writeFileSync(name, text, { mode });
  chmodSync(name, mode);
  return name;
}

const environment = (extra: Record<string, string> = {}) => ({
  HOME: dir,
  XDG_CONFIG_HOME: path.join(dir, 'xdg'),
  XDG_STATE_HOME: path.join(dir, 'state'),
  ...extra,
});

function failure(text: string, env: Record<string, string> = {}): RepctlError {
  try {
    loadConfig({ file: file(text), env: environment(env) });
  } catch (error) {
    if (error instanceof RepctlError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const GOOD = `cluster: shop
tables: [public.products, app.*]
nodes:
  n1:
    url: postgres://u:\${PW}@h1/shop
  n2:
    url: postgres://u:\${PW}@h2/shop
    priority: 50
    replicationUrl:
      n1: postgres://u:\${PW}@10.0.0.2/shop
`;

describe('a good file', () => {
  it('is read, in order, with variables encoded where they stand in a URL', () => {
    const config = loadConfig({ file: file(GOOD), env: environment({ PW: 'a@b:c/d%e#f g?' }) });
    expect(config).toMatchObject({
      cluster: 'shop',
      tables: ['public.products', 'app.*'],
      sequenceGap: 1000,
      connectTimeoutMs: 3000,
      statementTimeoutMs: 30_000,
      drainTimeoutMs: 10_000,
    });
    expect(config.nodes.map((node) => [node.name, node.priority])).toEqual([
      ['n1', 100],
      ['n2', 50],
    ]);
    expect(connectionOf(config.nodes[0]!.url, environment())).toMatchObject({
      user: 'u',
      password: 'a@b:c/d%e#f g?',
      host: 'h1',
    });
    expect(config.warnings).toBeUndefined();
  });

  it('takes hooks as lists; a program with a / is found from where the file is', () => {
    const name = file(`${GOOD}hooks:\n  beforePromote: [./move, --to]\n  onRollback: [logger, back]\n`);
    const config = loadConfig({ file: name, env: environment({ PW: 'x' }) });
    expect(config.hooks).toEqual({
      beforePromote: [path.join(dir, 'move'), '--to'],
      onRollback: ['logger', 'back'],
      timeoutMs: 10_000,
    });
    const bad = failure(`${GOOD}hooks:\n  beforePromote: ./move --to\n`, { PW: 'x' });
    expect(bad.message).toContain(
      'hooks.beforePromote: has a value that does not fit; write a program and its arguments as a list',
    );
    expect(failure(`${GOOD}hooks:\n  afterpromote: [x]\n`, { PW: 'x' }).hint).toBe(
      'Did you mean afterPromote?',
    );
  });

  it('takes a whole URL, a key=value password, a default and a number from variables', () => {
    const text = `cluster: \${NAME:-shop}
sequenceGap: \${GAP}
nodes:
  n1: { url: "\${URL}" }
  n2: { url: "host=h2 user=u password=\${PW} dbname=d" }
`;
    const config = loadConfig({
      file: file(text),
      env: environment({ URL: 'postgres://u:p%40@h1/d', PW: `it's a \\ b`, GAP: '7' }),
    });
    expect(config.cluster).toBe('shop');
    expect(config.sequenceGap).toBe(7);
    expect(connectionOf(config.nodes[0]!.url, environment()).password).toBe('p@');
    expect(connectionOf(config.nodes[1]!.url, environment()).password).toBe(`it's a \\ b`);
  });

  it('warns of a password in a file that others can read', () => {
    const text = 'cluster: shop\nnodes:\n  n1:\n    url: postgres://u:secret@h/d\n';
    const config = loadConfig({ file: file(text, 0o644), env: environment() });
    expect(config.warnings).toHaveLength(1);
    expect(config.warnings?.[0]).toMatch(/can be read by others: chmod 600/);
    expect(loadConfig({ file: file(text, 0o600), env: environment() }).warnings).toBeUndefined();
    expect(loadConfig({ file: file(GOOD, 0o644), env: environment({ PW: 'x' }) }).warnings).toBeUndefined();
  });
});

describe('bad files: place, problem and what to write', () => {
  it.each<[string, string, string, RegExp, RegExp | undefined]>([
    [
      'wrong indent',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u:secret@h/d\n   priority: 3\n',
      'config-invalid',
      /c\d+\.yaml:5:\d+: .*\n {3}5 \| {4}priority: 3/su,
      /two spaces/,
    ],
    [
      'unknown key at the top',
      'cluster: shop\ntable: [a]\nnodes:\n  n1:\n    url: postgres://u@h/d\n',
      'config-invalid',
      /:2: table: there is no such key/,
      /Did you mean tables\?/,
    ],
    [
      'unknown key in a node',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u@h/d\n    prioritty: 3\n',
      'config-invalid',
      /:5: nodes\.n1\.prioritty: there is no such key/,
      /Did you mean priority\?/,
    ],
    [
      'a node twice',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u@h/d\n  n1:\n    url: postgres://u@h/e\n',
      'config-invalid',
      /:5:3: n1 is there twice/,
      /rename/,
    ],
    [
      'two nodes, one database',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u@h/d\n  n2:\n    url: postgres://v@h:5432/d\n',
      'config-invalid',
      /:6: nodes\.n2\.url: n2 and n1 are the same database/,
      undefined,
    ],
    [
      'bad node name',
      'cluster: shop\nnodes:\n  N-1:\n    url: postgres://u@h/d\n',
      'config-invalid',
      /:3: nodes\.N-1: .*write a node named with a letter/,
      undefined,
    ],
    ['no nodes', 'cluster: shop\nnodes: {}\n', 'config-invalid', /:2: nodes: .*at least one node/, undefined],
    ['nodes missing', 'cluster: shop\n', 'config-invalid', /nodes: is missing/, undefined],
    [
      'number out of range',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u@h/d\n    priority: 1001\n',
      'config-invalid',
      /:5: nodes\.n1\.priority: .*whole number from 0 to 1000/,
      undefined,
    ],
    [
      'text for a number',
      'cluster: shop\nconnectTimeout: soon\nnodes:\n  n1:\n    url: postgres://u@h/d\n',
      'config-invalid',
      /:2: connectTimeout: .*seconds from 0\.1/,
      undefined,
    ],
    ['not a mapping', 'hello\n', 'config-invalid', /no configuration/, /repctl init/],
    ['empty', '', 'config-invalid', /no configuration/, /repctl init/],
    [
      'variable not set',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u:${NOT_SET}@h/d\n',
      'variable-unset',
      /:4: nodes\.n1\.url: the environment variable NOT_SET is not set/,
      /export NOT_SET/,
    ],
    [
      'URL without host',
      'cluster: shop\nnodes:\n  n1:\n    url: postgres:///d\n',
      'url-invalid',
      /:4: nodes\.n1\.url: The URL names no host/,
      /postgres:\/\/user@host/,
    ],
  ])('%s', (_name, text, code, message, hint) => {
    const error = failure(text);
    expect(error.code).toBe(code);
    expect(error.exit).toBe(2);
    expect(error.message).toMatch(message);
    if (hint) expect(error.hint).toMatch(hint);
  });

  it('never shows the password of a line it quotes', () => {
    const error = failure(
      'cluster: shop\nnodes:\n  n1:\n    url: postgres://u:se cret@h/d\n   x: "postgres://u:se cret@h\n',
    );
    expect(JSON.stringify([error.message, error.hint, error.details])).not.toContain('cret');
  });
});

describe('order', () => {
  const named = (name: string) => `cluster: ${name}\nnodes:\n  n1:\n    url: postgres://u@h/d\n`;

  it('flag, REPCTL_CONFIG, REPCTL_URL_*, ./repctl.yaml, XDG, sandbox', () => {
    const cwd = path.join(dir, 'cwd');
    const config = path.join(dir, 'xdg', 'repctl');
    mkdirSync(cwd);
    mkdirSync(config, { recursive: true });
    const env = environment();
    expect(() => loadConfig({ env, cwd })).toThrow(/No configuration was found/);

    const sandbox = sandboxConfigPath(env);
    mkdirSync(path.dirname(sandbox), { recursive: true });
    writeFileSync(sandbox, named('sandbox1'));
    expect(loadConfig({ env, cwd })).toMatchObject({ cluster: 'sandbox1', source: 'sandbox' });
    writeFileSync(path.join(config, 'config.yaml'), named('xdg1'));
    expect(loadConfig({ env, cwd }).cluster).toBe('xdg1');
    writeFileSync(path.join(cwd, 'repctl.yaml'), named('here'));
    expect(loadConfig({ env, cwd }).cluster).toBe('here');
    const urls = { ...env, REPCTL_URL_N10: 'postgres://u@h10/d', REPCTL_URL_N2: 'postgres://u@h2/d' };
    expect(loadConfig({ env: urls, cwd })).toMatchObject({
      source: 'environment',
      nodes: [{ name: 'n2' }, { name: 'n10' }],
    });
    const both = { ...urls, REPCTL_CONFIG: file(named('variable')) };
    expect(loadConfig({ env: both, cwd }).cluster).toBe('variable');
    expect(loadConfig({ env: both, cwd, file: file(named('flag')) }).cluster).toBe('flag');
  });

  it('says which file is missing', () => {
    expect(() => loadConfig({ file: '/nonexistent.yaml', env: environment() })).toThrow(
      /nonexistent\.yaml: there is no such file/,
    );
  });
});
