// npm run bench switchover [-- --rounds 20 --writers 1 --pause 5 --floor PATH_OF_FLOOR_MJS]
// Twenty switchovers round one cluster of four (no proxy) under steady writers (six that never pause: --writers 6
// --pause 0): the longest gap between two acknowledged writes around each; from the start of the command
// `repctl switchover NODE --yes` until every replica streams from the new leader (the new epoch's row is there and
// the new subscription has a live worker), Node's start-up included; each step's time; acknowledged writes lost.
// --floor: a program that does the bare statements of a switchover with connections open and none of the safety, run
// before on servers of its own with the same writers.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import {
  ROOT,
  clock,
  machine,
  options,
  quantile,
  say,
  sleep,
  spread,
  startWriters,
  until,
  withSandbox,
} from './lib/bench.mjs';

const { rounds, writers, pause, floor } = options({ rounds: 20, writers: 1, pause: 5, floor: '' });

const streamingSql = (epoch) => `select exists (select from repctl.epoch where epoch = ${epoch})
  and exists (select from pg_stat_subscription where subname like '%\\_e${epoch}' and relid is null and pid is not null) as there`;

async function connect(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000 });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The floor's own lines: `n2 gap 35 ms {…}`, `gap median 21 ms, max 49 ms; 12345 writes acknowledged, 0 lost; …` */
async function floorRounds() {
  mkdirSync(path.join(ROOT, '.tmp'), { recursive: true });
  // Beside node_modules, where it finds pg.
  const program = path.join(ROOT, '.tmp', `floor-${String(process.pid)}.mjs`);
  copyFileSync(floor, program);
  try {
    return await withSandbox(['--no-proxy', '--no-cluster'], async (sandbox) => {
      const urls = await sandbox.urls('--superuser', '--direct');
      const args = [program, 'switchover', '--writers', String(writers), '--pause', String(pause)];
      const { stdout, stderr } = spawnSync(process.execPath, [...args, ...urls.map(({ url }) => url)], {
        encoding: 'utf8',
        timeout: 120_000,
      });
      const found = [...stdout.matchAll(/^n\d+ gap (\d+) ms (\{.*\})/gm)];
      if (found.length === 0) throw new Error(`the floor said: ${stdout}${stderr}`);
      return found.map(([, gap, times]) => ({ gapMs: Number(gap), ...JSON.parse(times) }));
    });
  } finally {
    rmSync(program, { force: true });
  }
}

async function ours() {
  return withSandbox(['--no-proxy'], async (sandbox) => {
    const writer = startWriters(sandbox, await sandbox.urls(), { writers, pauseMs: pause });
    const superusers = await sandbox.urls('--superuser', '--direct');
    const clients = new Map();
    for (const { name, url } of superusers) clients.set(name, await connect(url));
    await sleep(2000);
    const results = [];
    for (let round = 1; round <= rounds; round += 1) {
      const target = superusers[round % superusers.length].name;
      const epoch = round + 1;
      const others = superusers.map(({ name }) => name).filter((name) => name !== target);
      const streamingAt = new Map();
      const watchers = others.map(async (name) => {
        const deadline = clock() + 30_000;
        while (!streamingAt.has(name)) {
          if ((await clients.get(name).query(streamingSql(epoch))).rows[0].there)
            streamingAt.set(name, clock());
          else if (clock() > deadline) throw new Error(`${name} does not stream`);
          else await sleep(10);
        }
      });
      const { code, json, startedAt, ms } = await sandbox.repctl(['switchover', target, '--yes']);
      if (code !== 0) throw new Error(`switchover: ${JSON.stringify(json)}`);
      await Promise.all(watchers);
      await sleep(500);
      results.push({
        ...{ target, startedAt, commandMs: ms, steps: json.steps },
        streamingMs: Math.max(...streamingAt.values()) - startedAt,
      });
    }
    await writer.stop();
    const writes = writer.acknowledged();
    const last = clients.get(results.at(-1).target);
    const skus = writes.map(({ n }) => `LIVE-${String(n).padStart(6, '0')}`);
    const { rows } = await last.query('select count(*)::int as kept from products where sku = any($1)', [
      skus,
    ]);
    // The first switchover is measured against what went before it.
    const rate =
      (writes.filter(({ endedAt }) => endedAt < results[0].startedAt).length - 1) /
      ((results[0].startedAt - writes[0].endedAt) / 1000);
    const digests = await Promise.all(
      [...clients.values()].map((client) =>
        until('replicas', async () => {
          const one = await client.query(
            'select count(*)::int as count, sum(hashtextextended(sku, 0)) as digest from products',
          );
          return one.rows[0].count === rows[0].kept + seeded ? one.rows[0].digest : undefined;
        }),
      ),
    ).catch(() => []);
    await Promise.all([...clients.values()].map((client) => client.end()));
    for (const result of results) {
      const near = writes.filter(
        ({ endedAt }) => endedAt > result.startedAt - 200 && endedAt < result.startedAt + 3000,
      );
      result.gapMs = Math.max(...near.slice(1).map(({ endedAt }, i) => endedAt - near[i].endedAt));
    }
    return { results, rate, lost: writes.length - rows[0].kept, writes: writes.length, digests };
  });
}
/** Products that the sandbox brings along; the writers' own come on top. */
const seeded = 0;

const column = (list, name) => list.map((result) => result[name]);
const floors = floor === '' ? [] : await floorRounds();
const { results, rate, lost, writes, digests } = await ours();
for (const [i, { target, gapMs, streamingMs, steps }] of results.entries()) {
  const times = ['fence', 'drain', 'promote'].map((kind) => {
    const step = steps.find(({ id }) => id.startsWith(`${kind}:`));
    return `${kind} ${String(step?.ms ?? '?')}`;
  });
  say(
    `${String(i + 1).padStart(3)}  ${target}  gap ${gapMs.toFixed(0)} ms, all streaming ${streamingMs.toFixed(0)} ms; ${times.join(', ')} ms`,
  );
}
say(`\n${machine()}`);
say(`${String(writers)} writers, writes a second before    ${rate.toFixed(0)}`);
say(`longest gap between writes          ${spread(column(results, 'gapMs'))}`);
if (floors.length > 0) say(`floor: longest gap                  ${spread(column(floors, 'gapMs'))}`);
else say('floor skipped: give its program with --floor PATH');
say(`command start → all stream          ${spread(column(results, 'streamingMs'))}`);
if (floors.length > 0) say(`floor: first statement → all stream ${spread(column(floors, 'streaming'))}`);
say(`command start → its end             ${spread(column(results, 'commandMs'))}`);
say(`acknowledged writes lost            ${String(lost)} of ${String(writes)}`);
say(
  `nodes equal                         ${digests.length > 0 && new Set(digests).size === 1 ? 'yes' : 'NO'}`,
);
say('\nstep              p50     p95     max  (ms)');
for (const kind of ['fence', 'drain', 'promote', 'attach', 'verify', 'drop-tombstone', 'standby']) {
  const times = results.flatMap(({ steps }) =>
    steps.filter(({ id }) => id.startsWith(`${kind}:`)).map(({ ms }) => ms),
  );
  const cells = [quantile(times, 0.5), quantile(times, 0.95), Math.max(...times)];
  say(`${kind.padEnd(14)}${cells.map((value) => value.toFixed(0).padStart(8)).join('')}`);
}
if (floors.length > 0)
  for (const kind of ['fenced', 'drained', 'promoted', 'advanced', 'streaming'])
    say(
      `floor ${kind.padEnd(8)}${[quantile(column(floors, kind), 0.5), quantile(column(floors, kind), 0.95), Math.max(...column(floors, kind))].map((value) => value.toFixed(0).padStart(8)).join('')}  since its start`,
    );
