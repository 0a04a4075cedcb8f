/** Every command's --json against docs/json.md, on a real cluster: healthy, changed, broken and failed over. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../support/cli.js';
import { mismatches, shapesIn } from '../../support/shape.js';

const shapes = shapesIn(readFileSync(new URL('../../../docs/json.md', import.meta.url), 'utf8'));
let home: string;
let passwords: string[];

const run = (args: readonly string[], stdin?: string) =>
  runCli(args, { env: { HOME: home }, cwd: home, ...(stdin === undefined ? {} : { stdin }) });

/** Runs `command args --json`, holds the answer against the page, and returns it. */
async function conforms(command: string, args: readonly string[] = [], exit = 0, stdin?: string) {
  const { code, stdout, stderr } = await run([...command.split(' '), ...args, '--json'], stdin);
  expect(`${String(code)} ${stderr}`, stdout).toBe(`${String(exit)} `);
  const value: unknown = JSON.parse(stdout);
  const failed = typeof value === 'object' && value !== null && 'error' in value;
  const shape = shapes.get(failed ? 'error' : command);
  expect(shape, `${command} in docs/json.md`).toBeDefined();
  expect(mismatches(value, shape ?? 'any')).toEqual([]);
  if (command !== 'sandbox env') for (const password of passwords) expect(stdout).not.toContain(password);
  return value as Record<string, unknown>;
}

beforeAll(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'repctl-json-'));
  passwords = [];
  await conforms('sandbox status');
  // Away from the default, where somebody's own sandbox may be starting just now.
  const port = String(20_000 + (process.pid % 400) * 20);
  await conforms('sandbox up', ['--nodes', '3', '--products', '20', '--base-port', port]);
  const env = (await conforms('sandbox env')) as Record<string, string>;
  passwords = Object.values(env).map((url) => new URL(url).password);
  expect(passwords).toHaveLength(3);
});
afterAll(async () => {
  await run(['sandbox', 'down']);
  rmSync(home, { recursive: true, force: true });
});

describe('a healthy cluster', () => {
  it.each<[string, string[]]>([
    ['status', []],
    ['lag', []],
    ['lag', ['--probe', '--samples', '2']],
    ['doctor', []],
    ['check', []],
    ['history', []],
    ['history', ['1']],
    ['history', ['--audit']],
    ['publication list', []],
    ['publication show', []],
    ['subscription list', []],
    ['subscription show', ['n2']],
    ['slot list', []],
    ['sequence list', []],
    ['sync', []],
    ['sandbox status', []],
    ['sandbox logs', ['n1']],
    ['help exit-codes', []],
  ])('%s %j', async (command, args) => {
    await conforms(command, args);
  });

  it.each<[string, string[], number]>([
    ['cluster create', ['--dry-run'], 0],
    ['cluster create', ['--yes'], 0],
    ['cluster destroy', ['--dry-run'], 0],
    ['node remove', ['n3', '--dry-run'], 0],
    ['rewire', ['n2', '--dry-run'], 0],
    ['rejoin', ['n2', '--dry-run'], 0],
    ['repair', ['--dry-run'], 0],
    ['repair', ['nowhere', '--yes'], 2],
    ['switchover', ['n2', '--dry-run'], 0],
    ['subscription disable', ['n3', '--yes'], 0],
    ['subscription enable', ['n3', '--yes'], 0],
    ['subscription refresh', ['n3', '--yes'], 0],
    ['slot advance', ['--yes'], 0],
    ['sequence sync', ['--yes'], 0],
    ['fence', ['n1', '--dry-run'], 0],
    ['fence', ['n1', '--yes'], 0],
    ['unfence', ['n2', '--yes'], 6],
    ['unfence', ['n1', '--yes'], 0],
    ['failover', [], 6],
    ['failover', ['n9'], 2],
    ['cluster destroy', [], 6],
  ])('%s %j: exit %i', async (command, args, exit) => {
    await conforms(command, args, exit);
  });
});

describe('products and SQL', () => {
  it('create, get, list, update, adjust, delete', async () => {
    await conforms('product create', ['J-1', '--name', 'Jug', '--price', '9.90', '--stock', '3']);
    await conforms('product get', ['J-1']);
    const page = await conforms('product list', ['--limit', '2']);
    expect(page['next']).not.toBeNull();
    await conforms('product update', ['J-1', '--price', '8.50']);
    await conforms('product adjust', ['J-1', '+5']);
    await conforms('product delete', ['J-1']);
    await conforms('product get', ['J-1'], 2);
  });

  it('export and import', async () => {
    await conforms('product export', ['--output', 'p.csv']);
    await conforms('product import', ['p.csv', '--dry-run']);
    await conforms('product import', ['p.csv']);
  });

  it('sql', async () => {
    await conforms('sql', ['select 1 as one, null as nothing']);
    await conforms('sql', ['select now()', '--all-nodes']);
    await conforms('sql', ['update products set stock = stock where sku is null', '--write']);
  });
});

describe('a cluster without its leader', () => {
  beforeAll(async () => {
    await conforms('sandbox pause', ['n3']);
    await conforms('sandbox resume', ['n3']);
    await conforms('sandbox kill', ['n1']);
  });

  it('looks', async () => {
    await conforms('status', [], 4);
    for (const command of ['history', 'publication list', 'subscription list', 'slot list', 'sequence list'])
      await conforms(command);
    await conforms('lag', [], 3);
    await conforms('check', [], 3);
  });

  it('fails over, and takes the words of the change', async () => {
    const dry = await conforms('failover', ['--dry-run']);
    expect(dry['status']).toBe('planned');
    const done = await conforms('failover', ['--yes', '--reason', 'a test']);
    expect(done['status']).toBe('done');
    await conforms('history');
    await conforms('slot list');
    await conforms('sandbox start', ['n1']);
    await conforms('status', [], 4);
  });

  it('takes the old leader back, and home', async () => {
    await conforms('rejoin', ['n1', '--yes']);
    await conforms('switchover', ['n1', '--yes']);
    await conforms('history', ['3']);
  });
});

describe('init', () => {
  it('without a connection test', async () => {
    await conforms('init', ['--cluster', 'c', '--node', 'n1=postgres://u@h/d', '--skip-test']);
    await conforms('init', ['--cluster', 'c', '--node', 'n1=postgres://u@h/d', '--skip-test'], 6);
    await conforms('init', [], 6);
    rmSync(path.join(home, 'repctl.yaml'));
  });
});

it('sandbox down', async () => {
  await conforms('sandbox down');
});
