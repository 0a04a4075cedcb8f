/**
 * Commands as an operator types them, against real servers: what they say when they refuse, that what they name to
 * type next exists, and that nothing was changed.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import type { Fleet } from '../../src/cluster/fleet.js';
import { catalogsOf } from './catalog.js';
import type { Cli } from './home-cli.js';

interface CommandFacts {
  readonly flags: Readonly<Record<string, { readonly char?: string }>>;
}
const { commands } = JSON.parse(
  readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8'),
) as { commands: Readonly<Record<string, CommandFacts>> };

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Every `repctl …` of a text must be a command that exists, with flags that it has. Returns how many there were. */
export function commandsIn(text: string): number {
  const found = [...text.matchAll(/\brepctl (?=[a-z])([a-z0-9_ -]+)/gu)].map(([, words = '']) =>
    words.trim().split(/\s+/u),
  );
  for (const words of found) {
    const [topic = '', sub = ''] = words;
    const command = commands[`${topic}:${sub}`] ?? commands[topic];
    expect(command, `repctl ${words.join(' ')}: no such command`).toBeDefined();
    for (const word of words.filter((one) => one.startsWith('--')))
      expect(Object.keys(command?.flags ?? {}), `repctl ${words.join(' ')}`).toContain(word.slice(2));
  }
  return found.length;
}

/** Runs it with --json and returns its error; the exit status must be `exit`. */
export async function failing(
  cli: Cli,
  args: readonly string[],
  exit: number,
  env: Readonly<Record<string, string>> = {},
): Promise<Failure> {
  const { code, data } = await cli.json<{ error?: Failure }>(args, { env });
  expect({ code, error: data.error }, args.join(' ')).toMatchObject({ code: exit, error: { code: /./ } });
  const error = data.error!;
  commandsIn(error.hint);
  return error;
}

export interface Try {
  readonly args: string;
  readonly code: string;
  /** Default 6: refused. */
  readonly exit?: number;
  readonly hint: RegExp;
  /** What it says. */
  readonly says?: RegExp;
}

/** Nothing may have changed on these nodes but for what goes on by itself, such as a worker that has just begun. */
export async function unchanged(
  fleet: Fleet,
  names: readonly string[],
  body: () => Promise<void>,
): Promise<void> {
  const before = await catalogsOf(fleet, names);
  await body();
  await expect.poll(() => catalogsOf(fleet, names), { timeout: 10_000 }).toEqual(before);
}

/** Types it with --yes: its code, its exit status, what to type next, and nothing changed on these nodes. */
export async function attempt(
  cli: Cli,
  fleet: Fleet,
  names: readonly string[],
  { args, code, exit = 6, hint, says }: Try,
): Promise<Failure> {
  let failure: Failure | undefined;
  await unchanged(fleet, names, async () => {
    failure = await failing(cli, [...args.split(' '), '--yes'], exit);
  });
  expect(failure, args).toMatchObject({ code });
  expect(failure?.hint, args).toMatch(hint);
  if (says !== undefined) expect(failure?.message, args).toMatch(says);
  return failure!;
}

/** A configuration that the program accepts as its own: repctl.yaml, or another name for -c. */
export function writeConfig(
  cli: Cli,
  config: Readonly<Record<string, unknown>>,
  name = 'repctl.yaml',
): string {
  const file = path.join(cli.home, name);
  writeFileSync(file, stringify(config));
  chmodSync(file, 0o600);
  return file;
}
