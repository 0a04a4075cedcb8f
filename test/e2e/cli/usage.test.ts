import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROGRAM, cleanEnv, runCli } from '../../support/cli.js';

let home: string;
beforeAll(() => {
  home = mkdtempSync(path.join(tmpdir(), 'repctl-cli-'));
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

const run = (args: readonly string[], env: Record<string, string> = {}) =>
  runCli(args, { cwd: home, env: { HOME: home, ...env } });

/** A shell line in which `repctl` is the program. */
async function shell(line: string, env: Record<string, string> = {}) {
  const child = spawn('bash', ['-c', `repctl() { "${process.execPath}" "${PROGRAM}" "$@"; }; ${line}`], {
    env: cleanEnv({ HOME: home, ...env }),
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

describe('usage errors: exit 2, in text and with --json', () => {
  it.each<[string, string[], string, RegExp, RegExp]>([
    ['unknown command', ['statsu'], 'unknown-command', /no command "statsu"/, /Did you mean repctl status\?/],
    [
      'unknown command in a topic',
      ['sandbox', 'statsu'],
      'unknown-command',
      /no command "sandbox statsu"/,
      /Did you mean repctl sandbox status\?/,
    ],
    ['unknown flag', ['status', '--wacth'], 'usage', /no flag --wacth/, /Did you mean --watch\?/],
    [
      'one argument too many',
      ['status', 'extra'],
      'unknown-command',
      /repctl status takes no such argument/,
      /status --help/,
    ],
    ['a missing argument', ['rewire'], 'usage', /Missing: NODE/, /rewire --help/],
    ['a flag without its value', ['status', '--timeout'], 'usage', /--timeout expects a value/, /--help/],
    ['a bad duration', ['status', '--timeout', 'soon', '-c', 'good.yaml'], 'usage', /not "soon"/, /./],
    ['no configuration', ['status'], 'config-missing', /No configuration was found/, /repctl init/],
    ['a missing file', ['status', '-c', 'nope.yaml'], 'config-unreadable', /no such file/, /repctl init/],
  ])('%s', async (name, args, code, message, hint) => {
    const env = name === 'a bad duration' ? { REPCTL_URL_N1: 'postgres://u@127.0.0.1:1/d' } : {};
    const line = name === 'a bad duration' ? args.slice(0, 3) : args;
    const text = await run(line, env);
    expect(text.code).toBe(2);
    expect(text.stdout).toBe('');
    expect(text.stderr).toMatch(message);
    expect(text.stderr).not.toMatch(/ {4}at /u);
    const json = await run([...line, '--json'], env);
    expect(json.code).toBe(2);
    const { error } = JSON.parse(json.stdout) as { error: Record<string, unknown> };
    expect(Object.keys(error)).toEqual(['code', 'message', 'hint', 'details']);
    expect(error['code']).toBe(code);
    expect(error['message']).toMatch(message);
    if (error['hint'] !== null) expect(error['hint']).toMatch(hint);
  });

  it('never repeats an argument that holds a password', async () => {
    for (const args of [
      ['status', 'postgres://u:S3cr3t@h/d'],
      ['status', '--bogus=postgres://u:S3cr3t@h/d'],
      ['init', '--cluster', 'c', '--node', 'n1=postgres://u:S3cr3t@h/d'],
      ['status', '-c', 'postgres://u:S3cr3t@h/d'],
    ]) {
      for (const extra of [[], ['--json'], ['-v']]) {
        const { code, stdout, stderr } = await run([...args, ...extra], { REPCTL_DEBUG: '1' });
        expect(code).toBe(2);
        expect(stdout + stderr).not.toContain('S3cr3t');
      }
    }
  });
});

describe('a pooled host', () => {
  const env = { REPCTL_URL_N1: 'postgres://u:p@ep-x-pooler.invalid/d' };

  it.each([['status'], ['cluster create --dry-run'], ['failover'], ['slot list'], ['check']])(
    'is refused by %s',
    async (line) => {
      const { code, stderr } = await run(line.split(' '), env);
      expect(code).toBe(6);
      expect(stderr).toMatch(/n1 is reached through a connection pooler\. \(pooled-host\)/);
    },
  );

  it('is a finding of doctor', async () => {
    const { stdout } = await run(['doctor', '--json'], env);
    expect(stdout).toMatch(/"code": "pooled-host"/);
  });
});

describe('disk full while writing state', () => {
  it('says so (exit 7), changes nothing, and leaves the file of before', async () => {
    if (process.getuid?.() !== 0) return;
    const full = path.join(home, 'full');
    const tiny = await shell(`mkdir "${full}" && mount -t tmpfs -o size=8k tmpfs "${full}"`);
    // Not permitted in every container.
    if (tiny.code !== 0) return;
    try {
      await shell(
        `echo old > "${full}/repctl.yaml"; head -c 100000 /dev/zero > "${full}/filler" 2>/dev/null`,
      );
      const { code, stderr } = await run([
        ...['init', '--cluster', 'c', '--node', 'n1=postgres://u@h/d', '--skip-test', '--overwrite'],
        ...['-o', path.join(full, 'repctl.yaml')],
      ]);
      expect(stderr).toMatch(/^✗ .*ENOSPC.*\(file-unwritable\)/u);
      expect(code).toBe(7);
      expect((await shell(`cat "${full}/repctl.yaml"; ls "${full}"`)).stdout).toBe(
        'old\nfiller\nrepctl.yaml\n',
      );
    } finally {
      await shell(`umount "${full}"`);
    }
  });
});

describe('help', () => {
  it.each([
    [['--help'], /TOPICS/],
    [['-h'], /TOPICS/],
    [['status', '-h'], /EXAMPLES/],
    [[], /TOPICS/],
    [['help'], /TOPICS/],
    [['help', 'status'], /EXAMPLES\n {2}\$ repctl status/],
    [['help', 'sandbox', 'up'], /\$ repctl sandbox up/],
    [['status', '--help'], /EXAMPLES/],
    [['help', 'exit-codes'], / 130 {2}interrupted/],
  ])('%j', async (args, expected) => {
    const { code, stdout, stderr } = await run(args);
    expect(stdout).toMatch(expected);
    expect(code).toBe(0);
    expect(stderr).toBe('');
  });

  it('says which topic is unknown', async () => {
    const { code, stderr } = await run(['help', 'statsu']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/no command "statsu"/);
  });
});

describe('streams', () => {
  it('ends quietly when stdout closes early', async () => {
    const { code, stdout, stderr } = await shell(
      'set -o pipefail; repctl help exit-codes --json | head -c 1; repctl --help | true; echo; echo end',
    );
    expect(stdout).toBe('{\nend\n');
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('works with stdin, stdout or stderr closed', async () => {
    const closed = await shell(
      'repctl help exit-codes <&- && repctl help exit-codes >&-; echo $?; repctl statsu 2>&-; echo $?',
    );
    expect(closed.stdout).toMatch(/interrupted[^]*\n0\n2\n$/u);
    expect(closed.stderr).toBe('');
  });

  it('says in one line that stdout is full', async () => {
    if (!existsSync('/dev/full')) return;
    const { code, stderr } = await shell('repctl help exit-codes >/dev/full');
    expect(stderr).toMatch(/^✗ [^\n]*ENOSPC[^\n]*\n/u);
    expect(code).toBe(7);
    const json = await shell('repctl help exit-codes --json >/dev/full');
    expect(json.stderr).toMatch(/^✗ [^\n]*ENOSPC[^\n]*\n/u);
    expect(json.code).toBe(7);
  });

  it('ends a watched screen that cannot be written (exit 7)', async () => {
    if (!existsSync('/dev/full')) return;
    const { code, stderr } = await shell(
      'REPCTL_URL_N1=postgres://u@127.0.0.1:1/d repctl status --watch --interval 10ms >/dev/full',
    );
    expect(stderr).toMatch(/ENOSPC/);
    expect(code).toBe(7);
  });

  it('says what is wrong with a state directory that is none (exit 7), and is no bug', async () => {
    const { code, stderr } = await shell('XDG_STATE_HOME=/dev/null/state repctl sandbox up --nodes 1');
    expect(stderr).toMatch(/ENOTDIR.*\(file-unwritable\)/);
    expect(code).toBe(7);
  });

  it('has no colour in a pipe, and none on demand', async () => {
    const escape = String.fromCharCode(27);
    expect((await run(['statsu'])).stderr).not.toContain(escape);
    expect((await run(['statsu'], { FORCE_COLOR: '1' })).stderr).toContain(escape);
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
      expect((await run(['statsu'], { FORCE_COLOR: '1', ...env })).stderr).not.toContain(escape);
    expect((await run(['statsu', '--no-color'], { FORCE_COLOR: '1' })).stderr).not.toContain(escape);
  });

  it('shows a stack trace with REPCTL_DEBUG=1 alone', async () => {
    expect((await run(['status'], { REPCTL_DEBUG: '1' })).stderr).toMatch(/ {4}at /u);
    expect((await run(['status'], { REPCTL_DEBUG: '0' })).stderr).not.toMatch(/ {4}at /u);
  });
});

describe('a server that accepts and says nothing', () => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `postgres://u:p@127.0.0.1:${String((server.address() as { port: number }).port)}/d`;
  });
  afterAll(() => {
    server.close();
  });

  it('costs no more than --timeout', async () => {
    const started = Date.now();
    const { code } = await run(['status', '--timeout', '500ms'], { REPCTL_URL_N1: url });
    expect(code).toBe(4);
    expect(Date.now() - started).toBeLessThan(5000);
  });

  it('Ctrl-C ends the wait with 130 and one line', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'status', '--timeout', '60s'], {
      env: cleanEnv({ HOME: home, REPCTL_URL_N1: url }),
      cwd: home,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    // The connection shows that the command is at work, and past the start of Node.
    await new Promise<void>((resolve) =>
      server.once('connection', () => {
        resolve();
      }),
    );
    child.kill('SIGINT');
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    expect(code).toBe(130);
    expect(stderr.trim().split('\n').at(-1)).toBe('Interrupted.');
    expect(stderr).not.toMatch(/ {4}at /u);
  });
});

describe('completion', () => {
  it('gives scripts that bash accepts, and no start writes a cache', async () => {
    await run(['help', 'exit-codes']);
    expect(existsSync(path.join(home, 'cache', 'repctl', 'autocomplete'))).toBe(false);
    const { code, stderr } = await shell(
      'repctl autocomplete --refresh-cache >/dev/null && bash -n "$XDG_CACHE_HOME"/repctl/autocomplete/functions/bash/repctl.bash',
    );
    expect(stderr.replace(/.*(?:Building|done).*\n?/gu, '')).toBe('');
    expect(code).toBe(0);
    // The word list that bash completes from: topic, then command.
    const { stdout } = await shell(
      'source "$XDG_CACHE_HOME"/repctl/autocomplete/functions/bash/repctl.bash; COMP_WORDS=(repctl sand); COMP_CWORD=1; _repctl_autocomplete; echo "${COMPREPLY[@]}"; COMP_WORDS=(repctl sandbox st); COMP_CWORD=2; _repctl_autocomplete; echo "${COMPREPLY[@]}"',
    );
    expect(stdout).toMatch(/^sandbox/u);
    expect(stdout).toMatch(/\bstatus\b/u);
  });
});
