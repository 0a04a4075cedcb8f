/** status, lag and doctor as an operator, a pipe and a script see them. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Analysis } from '../../../src/cluster/analyse.js';
import type { DoctorReport } from '../../../src/cluster/doctor/examine.js';
import type { LagReport } from '../../../src/cluster/lag.js';
import { makeCli } from '../../support/home-cli.js';
import { until } from '../../support/wait.js';

const cli = makeCli();
const place = mkdtempSync(path.join(tmpdir(), 'repctl-e2e-'));
chmodSync(place, 0o711);

beforeAll(async () => {
  const port = String(20_000 + Math.floor(Math.random() * 11_000));
  const up = await cli.run([
    'sandbox',
    'up',
    '--nodes',
    '3',
    '--products',
    '20',
    '--dir',
    path.join(place, 'box'),
    '--base-port',
    port,
  ]);
  expect(up.code, up.stderr).toBe(0);
});
afterAll(async () => {
  await cli.run(['sandbox', 'down']);
  cli.end();
  rmSync(place, { recursive: true, force: true });
});

/** Positions, figures and times out; lines as they are otherwise. */
const steady = (text: string): string =>
  text
    .replaceAll(/[0-9A-F]+\/[0-9A-F]{6,}/g, 'X/XXXXXXX')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ/g, 'YYYY-MM-DD hh:mm:ssZ')
    .replaceAll(/\d+\.\d s/g, '0.0 s')
    .replaceAll(/\d+\.\d+(?=\n|$)/g, '18.x');

describe('a healthy cluster', () => {
  it('status prints the topology without colour into a pipe, and ends with 0', async () => {
    const { stdout, code } = await until(
      () => cli.run(['status']),
      (it) => it.code === 0,
    );
    expect(code).toBe(0);
    expect(steady(stdout)).toMatchInlineSnapshot(`
      "shop   epoch 1   leader n1   ● healthy                      YYYY-MM-DD hh:mm:ssZ

      Node  Role     State      Upstream  Applied    Behind      Last msg  Version
      n1 ★  leader   leading    –         X/XXXXXXX  –           –         18.x
      n2    replica  streaming  n1        X/XXXXXXX  0 B · 0 ms  0.0 s     18.x
      n3    replica  streaming  n1        X/XXXXXXX  0 B · 0 ms  0.0 s     18.x
      "
    `);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('status --json tells the same', async () => {
    const { code, data } = await cli.json<Analysis>(['status']);
    expect(code).toBe(0);
    expect(data).toMatchObject({ state: 'healthy', leader: 'n1', epoch: 1, findings: [] });
  });

  it('colours only where that is wanted', async () => {
    const plain = await cli.run(['status'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } });
    expect(plain.stdout).not.toContain('\u001B');
    const forced = await cli.run(['status'], { env: { FORCE_COLOR: '1' } });
    expect(forced.stdout).toContain('\u001B[');
    const flag = await cli.run(['status', '--no-color'], { env: { FORCE_COLOR: '1' } });
    expect(flag.stdout).not.toContain('\u001B');
  });

  it('status --watch draws again and again, and Ctrl-C ends it with 130', async () => {
    const child = cli.spawn(['status', '--watch', '--interval', '100ms']);
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.split('leader n1').length > 3) child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(130);
    expect(text).toContain('● healthy');
  });

  it('--watch and --json do not go together', async () => {
    for (const command of ['status', 'lag']) {
      const { code, data } = await cli.json<{ error: { code: string } }>([command, '--watch']);
      expect({ code, error: data.error.code }).toEqual({ code: 2, error: 'usage' });
    }
  });

  it('lag --probe measures every replica', async () => {
    const { code, data } = await cli.json<LagReport>(['lag', '--probe', '--samples', '5']);
    expect(code).toBe(0);
    expect(data.replicas.map((it) => [it.node, it.probe?.samples, it.probe?.timeouts])).toEqual([
      ['n2', 5, 0],
      ['n3', 5, 0],
    ]);
    const text = await cli.run(['lag', '--probe']);
    expect(text.stdout).toMatch(/Replica +State +Bytes +Time +Txns +Min +p50 +p95 +Max/);
  });

  it('Ctrl-C ends lag --probe with 130 and leaves no row of its own', async () => {
    const rows = async () => {
      const sql = `select count(*)::int from repctl.event where kind = 'probe'`;
      const { data } = await cli.json<{ nodes: { results: { rows: number[][] }[] }[] }>([
        ...['sql', '--node', 'n1', sql],
      ]);
      return data.nodes[0]?.results[0]?.rows[0]?.[0];
    };
    const child = cli.spawn(['lag', '--probe', '--samples', '100000']);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await until(rows, (count) => count !== 0);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(await rows()).toBe(0);
  });

  it.each([['slot list'], ['subscription list'], ['publication list'], ['sequence list'], ['doctor']])(
    '%s fits 80 columns',
    async (line) => {
      const { stdout } = await cli.run(line.split(' '));
      for (const row of stdout.split('\n')) expect(row.length, row).toBeLessThanOrEqual(80);
    },
  );

  it('lag --watch draws a sparkline', async () => {
    const child = cli.spawn(['lag', '--probe', '--watch', '--interval', '50ms']);
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (/[▁▂▃▄▅▆▇█]{3}/.test(text)) child.kill('SIGINT');
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130);
    expect(text).toContain('Delay so far');
  });

  it('lag refuses thresholds that are none', async () => {
    for (const flags of [
      ['--max-bytes', 'abc'],
      ['--max-bytes', '-1'],
      ['--max-seconds', 'soon'],
      ['--samples', '0'],
      ['--interval', 'x', '--watch'],
    ]) {
      const { code, stderr } = await cli.run(['lag', ...flags]);
      expect({ flags, code }).toEqual({ flags, code: 2 });
      expect(stderr).not.toMatch(/\n +at /);
    }
  });

  it('doctor finds it fit', async () => {
    const { code, data } = await cli.json<DoctorReport>(['doctor']);
    expect({ code, findings: data.findings.filter((it) => it.severity !== 'info') }).toEqual({
      code: 0,
      findings: [],
    });
    const { stdout } = await cli.run(['doctor']);
    expect(stdout).toContain('● fit');
  });
});

describe('a broken cluster', () => {
  it('a killed replica: status and doctor end with 4 and say what to type', async () => {
    expect((await cli.run(['sandbox', 'kill', 'n3'])).code).toBe(0);
    const status = await cli.run(['status']);
    expect(status.code).toBe(4);
    expect(status.stdout).toMatch(/● degraded/);
    expect(status.stdout).toMatch(/✗ n3 node-unreachable/);
    expect(status.stdout).toMatch(/n2 +replica +streaming/);
    expect((await cli.run(['doctor'])).code).toBe(4);
    const lag = await cli.json<LagReport>(['lag', '--max-seconds', '60']);
    expect(lag.code).toBe(4);
    expect(lag.data.crossed).toEqual([{ node: 'n3', limit: 'max-seconds', allowed: 60, actual: null }]);
  });

  it('a killed leader: status is critical, lag cannot be measured', async () => {
    expect((await cli.run(['sandbox', 'kill', 'n1'])).code).toBe(0);
    const status = await cli.run(['status']);
    expect(status.code).toBe(4);
    expect(status.stdout).toMatch(/● critical/);
    expect(status.stdout).toMatch(/leader-unreachable/);
    const lag = await cli.json<{ error: { code: string } }>(['lag', '--probe']);
    expect({ code: lag.code, error: lag.data.error.code }).toEqual({ code: 3, error: 'leader-unreachable' });
  });
});
