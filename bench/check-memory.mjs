// npm run bench check-memory [-- --rows 10000000 --differing 1000000]
// How much memory repctl takes (VmHWM of its process, Linux) and how long, on a narrow table of two nodes: `check` of
// equal nodes, `check` and `check --report` with rows that differ, and the dry run of `repair` that is allowed so many.
// Each side is filled by itself, and subscribed to without a copy.
import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { PROGRAM, clock, machine, options, say, sleep, withSandbox } from './lib/bench.mjs';

const { rows, differing } = options({ rows: 10_000_000, differing: 1_000_000 });

/** The high-water mark of a process in MB; it only grows, so the last look before the end is near enough. */
const peakOf = (pid) => {
  try {
    return (
      Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1] ?? 0) /
      1024
    );
  } catch {
    return 0;
  }
};

async function measured(args, { env, directory }) {
  const startedAt = clock();
  const child = spawn(process.execPath, [PROGRAM, ...args, '--json'], {
    env,
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  const state = { ended: false, peak: 0 };
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  }).finally(() => (state.ended = true));
  while (!state.ended) {
    state.peak = Math.max(state.peak, peakOf(child.pid));
    await Promise.race([ended, sleep(20)]);
  }
  return { code: await ended, ms: clock() - startedAt, peak: state.peak, json: JSON.parse(text) };
}

await withSandbox(['--no-proxy', '--nodes', '2', '--products', '0'], async (sandbox) => {
  const clients = [];
  const urls = await sandbox.urls('--superuser', '--direct');
  for (const { url } of urls) {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    clients.push(client);
  }
  const everywhere = (sql) => Promise.all(clients.map((client) => client.query(sql)));
  const [n1, n2] = clients;
  try {
    await everywhere('create table ticks (id bigint primary key, n int)');
    // In many transactions: the walsender decodes them all, for nobody, and one of that size takes it longer than the
    // sandbox's wal_receiver_timeout has patience.
    for (let first = 1; first <= rows; first += 100_000)
      await everywhere(
        `insert into ticks select g, g % 1000 from generate_series(${String(first)}, ${String(Math.min(rows, first + 99_999))}) g`,
      );
    await everywhere('vacuum analyze ticks');
    await everywhere('alter publication repctl add table ticks');
    const { rows: subscriptions } = await n2.query('select subname from pg_subscription');
    for (const { subname } of subscriptions)
      await n2.query(`alter subscription ${subname} refresh publication with (copy_data = false)`);
    const { rows: owners } = await n1.query(
      `select tableowner from pg_tables where schemaname = 'public' and tablename = 'products'`,
    );
    await everywhere(`alter table ticks owner to "${owners[0].tableowner}"`);
    // Until it has done so, rows that differ cannot be told from rows on their way; that is not what is measured.
    const { rows: ends } = await n1.query('select pg_current_wal_insert_lsn() as lsn');
    for (let behind = true; behind; await sleep(200)) {
      const { rows: found } = await n1.query(
        `select bool_or(coalesce(replay_lsn < $1, true)) as behind from pg_stat_replication`,
        [ends[0].lsn],
      );
      behind = found[0].behind ?? true;
    }
    const spoil = async () => {
      await n2.query('set session_replication_role = replica');
      await n2.query('update ticks set n = n + 1 where id % $1 = 0 and id <= $1::bigint * $2', [
        Math.floor(rows / differing),
        differing,
      ]);
      await n2.query('vacuum ticks');
    };
    const report = path.join(sandbox.directory, 'differences.ndjson');
    const allowed = String(Math.min(differing, 1_000_000));
    say(`${String(rows)} rows on two nodes, ${String(differing)} of them differing; ${machine()}`);
    const plain = await measured(['status'], sandbox);
    say(`repctl status                     ${plain.peak.toFixed(0)} MB  (for comparison)`);
    for (const [name, args, code] of [
      ['check, equal nodes', ['check', 'ticks'], 0],
      ['check, rows that differ', ['check', 'ticks'], 5],
      ['check --report', ['check', 'ticks', '--report', report], 5],
      [`repair --dry-run --max-rows ${allowed}`, ['repair', 'ticks', '--dry-run', '--max-rows', allowed], 5],
    ]) {
      if (code === 5 && name.startsWith('check,')) await spoil();
      const { code: ended, ms, peak, json } = await measured(args, sandbox);
      if (ended !== code) throw new Error(`${name} ended with ${String(ended)}: ${JSON.stringify(json)}`);
      const lines =
        json.report == null
          ? ''
          : `, ${String(json.report.rows)} lines, ${(statSync(report).size / 1e6).toFixed(0)} MB of report`;
      say(`${name.padEnd(33)} ${peak.toFixed(0)} MB, ${(ms / 1000).toFixed(1)} s${lines}`);
    }
  } finally {
    await Promise.all(clients.map((client) => client.end()));
  }
});
