import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultDirectory, serverAccount } from '../../../src/sandbox/account.js';
import { processes } from '../../../src/sandbox/process.js';
import { cleanEnv } from '../../support/cli.js';

const DEMO = fileURLToPath(new URL('../../../dist/demo/main.js', import.meta.url));

/** The demo's temporary directory is the only thing in this one. */
let parent: string;
let child: ChildProcess | undefined;
beforeEach(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'demo-test-'));
});
afterEach(async () => {
  child?.kill('SIGTERM');
  await rm(parent, { recursive: true, force: true });
});

interface Demo {
  /** Resolves when the text was printed; rejects when the demo ends without. */
  saw(text: string): Promise<void>;
  readonly ended: Promise<{ code: number | null; output: string }>;
}

function startDemo(env: Record<string, string> = {}): Demo & { child: ChildProcess } {
  const started = spawn(process.execPath, [DEMO], {
    env: cleanEnv({ TMPDIR: parent, HOME: parent, ...env }),
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = started;
  let output = '';
  const watchers = new Set<() => void>();
  for (const stream of [started.stdout, started.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      for (const watch of watchers) watch();
    });
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    started.once('close', (code) => {
      resolve({ code, output });
    });
  });
  return {
    child: started,
    ended,
    saw: (text) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          if (!output.includes(text)) return;
          watchers.delete(watch);
          resolve();
        };
        watchers.add(watch);
        watch();
        void ended.then(() => {
          reject(new Error(`The demo ended without "${text}":\n${output}`));
        });
      }),
  };
}

/** Where this demo keeps its servers: below its temporary directory, or where root's servers may go. */
async function sandboxOf(): Promise<string> {
  const [directory = ''] = await readdir(parent);
  return defaultDirectory(await serverAccount(), {
    XDG_STATE_HOME: path.join(parent, directory, 'state'),
  });
}

async function expectNothingLeft(sandbox: string): Promise<void> {
  const left = (await processes()).filter(
    ({ command, zombie }) => !zombie && (command.includes(sandbox) || command.includes(parent)),
  );
  expect(left).toEqual([]);
  expect(existsSync(sandbox)).toBe(false);
  expect(await readdir(parent)).toEqual([]);
}

/** The number in a line of the summary. */
const figure = (output: string, name: string): number =>
  Number(new RegExp(`^  ${name} +([\\d,]+)`, 'mu').exec(output)?.[1]?.replaceAll(',', ''));

describe('npm run demo', () => {
  it('kills the leader under a writer, measures what that cost, and leaves nothing behind', async () => {
    const demo = startDemo();
    await demo.saw('$ repctl sandbox up');
    const sandbox = await sandboxOf();
    const { code, output } = await demo.ended;
    const typed = [...output.matchAll(/^\$ repctl (\S+(?: (?!-)[a-z]+\b)?)/gmu)].map((match) => match[1]);
    expect(typed).toEqual(
      expect.arrayContaining([
        ...['status', 'lag', 'sandbox kill', 'failover', 'rejoin', 'switchover', 'check', 'history'],
      ]),
    );
    const acknowledged = figure(output, 'writes acknowledged');
    expect(acknowledged).toBeGreaterThanOrEqual(300);
    expect(figure(output, 'kept') + figure(output, 'lost')).toBe(acknowledged);
    expect(figure(output, 'rows copied')).toBe(0);
    expect(output).toMatch(/stranded: \d+ changes? in \d+ transactions?/u);
    expect(code, output).toBe(0);
    expect(output).not.toMatch(/postgres:\/\/[^:]+:(?!\*\*\*)/u);
    await expectNothingLeft(sandbox);
  });

  it.each([
    ['while the servers start', 'initdb'],
    ['after the kill', '$ repctl failover'],
  ])('cleans up on Ctrl-C %s', async (_, moment) => {
    const demo = startDemo();
    await demo.saw('$ repctl sandbox up');
    const sandbox = await sandboxOf();
    await demo.saw(moment);
    demo.child.kill('SIGINT');
    const { code, output } = await demo.ended;
    expect(code, output).toBe(130);
    expect(output).toContain('Interrupted');
    expect(output).not.toMatch(/^\s+at /mu);
    await expectNothingLeft(sandbox);
  });

  it('cleans up when its reader goes away', async () => {
    const demo = startDemo();
    await demo.saw('$ repctl status');
    const sandbox = await sandboxOf();
    demo.child.stdout?.destroy();
    const { code } = await demo.ended;
    expect(code).toBe(130);
    await expectNothingLeft(sandbox);
  });
});
