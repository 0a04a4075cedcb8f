/** Hooks are real programs here: what they are told, and each way in which they fail. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HooksConfig } from '../../../src/config/schema.js';
import { type HookCall, type HookContext, hookCall } from '../../../src/operations/hooks/model.js';
import { runHook } from '../../../src/operations/hooks/spawn.js';
import { until } from '../../support/wait.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'repctl-hooks-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const context: HookContext = {
  operation: 'switchover',
  cluster: 'shop',
  oldLeader: 'n1',
  newLeader: 'n2',
  epoch: 4,
  forkPoint: '0/5A3F210',
  operator: 'ada@desk',
  reason: 'kernel; $(reboot) "now"',
  error: null,
};

let count = 0;
function script(text: string, mode = 0o755): string {
  count += 1;
  const file = path.join(dir, `h${String(count)}`);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

const call = (argv: readonly string[], timeoutMs = 10_000): HookCall => {
  const hooks: HooksConfig = { beforePromote: argv, timeoutMs };
  const made = hookCall(hooks, 'beforePromote', context);
  if (made === undefined) throw new Error('no call');
  return made;
};

async function run(argv: readonly string[], timeoutMs?: number) {
  const told: string[] = [];
  const report = await runHook(call(argv, timeoutMs), (line) => told.push(line));
  return { report, told };
}

describe('what a hook is told', () => {
  it('is nothing where none is configured', () => {
    expect(hookCall(undefined, 'onRollback', context)).toBeUndefined();
    expect(hookCall({ beforePromote: ['x'], timeoutMs: 1 }, 'onRollback', context)).toBeUndefined();
  });

  it('comes as REPCTL_* and as JSON on stdin; no shell reads its arguments', async () => {
    const out = path.join(dir, 'told');
    const file = script(`#!/bin/sh\nenv | grep ^REPCTL_ | sort\necho "$1"\ncat > ${out}\n`);
    const { report, told } = await run([file, '$(id) && "x"']);
    expect(report).toMatchObject({ hook: 'beforePromote', exitCode: 0, error: null });
    expect(told).toEqual([
      'REPCTL_CLUSTER=shop',
      'REPCTL_EPOCH=4',
      'REPCTL_ERROR=',
      'REPCTL_FORK_POINT=0/5A3F210',
      'REPCTL_HOOK=beforePromote',
      'REPCTL_NEW_LEADER=n2',
      'REPCTL_OLD_LEADER=n1',
      'REPCTL_OPERATION=switchover',
      'REPCTL_OPERATOR=ada@desk',
      'REPCTL_REASON=kernel; $(reboot) "now"',
      '$(id) && "x"',
    ]);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual({ hook: 'beforePromote', ...context });
  });

  it('holds no password but those of the environment that repctl was started in', () => {
    expect(Object.keys(call(['x']).env).every((name) => name.startsWith('REPCTL_'))).toBe(true);
    expect(JSON.stringify(call(['x']))).not.toContain('postgres://');
  });
});

describe('a hook that', () => {
  it('prints a password is redacted, one that prints colours and bells is plain', async () => {
    const file = script(
      `#!/bin/sh\necho postgres://u:secret@h/db\nprintf '\\033[31mred\\033[0m\\a\\tend' >&2\n`,
    );
    const { told } = await run([file]);
    expect(told.toSorted()).toEqual(['postgres://u:***@h/db', 'red\tend']);
  });

  it('is missing, is not executable, or lacks its interpreter', async () => {
    const codeOf = async (argv: readonly string[]) => (await run(argv)).report.error;
    expect(await codeOf([path.join(dir, 'none')])).toMatchObject({ code: 'hook-missing' });
    expect(await codeOf(['repctl-no-such-program'])).toEqual({
      code: 'hook-missing',
      message: 'hooks.beforePromote (repctl-no-such-program) was not found in PATH.',
    });
    expect(await codeOf([script('#!/nowhere/sh\n')])).toMatchObject({ code: 'hook-interpreter-missing' });
    expect(await codeOf([script('#!/bin/sh\n', 0o644)])).toMatchObject({
      code: 'hook-not-executable',
      message: expect.stringContaining('chmod +x') as string,
    });
    expect(await codeOf([dir])).toMatchObject({ code: 'hook-not-executable' });
  });

  it('ends with another code than 0, or by a signal', async () => {
    const { report } = await run([script('#!/bin/sh\necho why\nexit 3\n')]);
    expect(report).toMatchObject({ exitCode: 3, output: ['why'], error: { code: 'hook-failed' } });
    const killed = await run([script('#!/bin/sh\nkill -9 $$\n')]);
    expect(killed.report.error?.message).toContain('was ended by SIGKILL');
  });

  it('hangs is ended with all that it started, even what ignores SIGTERM', async () => {
    const pids = path.join(dir, 'pids');
    const file = script(
      `#!/bin/sh\ntrap '' TERM\nsleep 300 &\necho $! $$ > ${pids}\necho begun\nwhile :; do sleep 300; done\n`,
    );
    const { report } = await run([file], 300);
    expect(report.error).toEqual({
      code: 'hook-timeout',
      message: `hooks.beforePromote (${file}) did not end within 0.3 s and was ended.`,
    });
    expect(report.output).toEqual(['begun']);
    expect(report.ms).toBeLessThan(3000);
    for (const pid of readFileSync(pids, 'utf8').trim().split(' ')) {
      // A zombie for a moment at most: nobody but init waits for it.
      const file = `/proc/${pid}/stat`;
      await until(
        () => Promise.resolve(existsSync(file) ? readFileSync(file, 'utf8') : 'Z'),
        (stat) => /^(?:Z|\d+ \(.*\) [ZX] )/.test(stat),
      );
    }
  });

  it('leaves something behind that holds its output is not waited for; one that reads no input does no harm', async () => {
    const start = performance.now();
    const { report } = await run([script('#!/bin/sh\nsleep 5 &\necho done\n')]);
    expect(report).toMatchObject({ exitCode: 0, output: ['done'] });
    expect(performance.now() - start).toBeLessThan(3000);
  });
});
