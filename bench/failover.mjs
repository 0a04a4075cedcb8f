// npm run bench failover [-- --runs 10 --writers 1 --pause 5 --floor PATH_OF_FLOOR_MJS]
// Ten failovers, each of a fresh cluster of four (no proxy) whose leader is killed under steady writers (six that
// never pause: --writers 6 --pause 0): from the start of the command `repctl failover --yes` to the first
// acknowledged write and until both siblings stream (the new epoch's row is there and the new subscription has a live worker); rows copied; acknowledged writes that
// were lost, against what failover announced. --floor: a program that does the bare statements of a failover with
// connections open, run in turns with it on servers of its own; its times begin at the kill.
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

const { runs, writers, pause, floor } = options({ runs: 10, writers: 1, pause: 5, floor: '' });

const skuOf = (n) => `LIVE-${String(n).padStart(6, '0')}`;
const EPOCH_TWO = 'select exists (select from repctl.epoch where epoch = 2) as there';
const STREAMING = `select exists (select from repctl.epoch where epoch = 2)
  and exists (select from pg_stat_subscription where subname like '%\\_e2' and relid is null and pid is not null) as there`;
const COPIED = 'select count(*)::int as count from pg_subscription_rel where srsublsn is not null';

async function connect(url) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000 });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function one() {
  return withSandbox(['--no-proxy'], async (sandbox) => {
    const writer = startWriters(sandbox, await sandbox.urls(), { writers, pauseMs: pause });
    const superusers = await sandbox.urls('--superuser', '--direct');
    const survivors = superusers.filter(({ name }) => name !== 'n1');
    const clients = new Map();
    for (const { name, url } of survivors) clients.set(name, await connect(url));
    await until('300 writes', () => writer.acknowledged().length >= 300, 50);
    // Many fast writers have these within a moment, before they are warm.
    await sleep(500);
    const steady = writer.acknowledged().slice(-1000);
    const rate = ((steady.length - 1) * 1000) / (steady.at(-1).endedAt - steady[0].endedAt);
    await sandbox.repctl(['sandbox', 'kill', 'n1']);

    const streamingAt = new Map();
    let over = false;
    const watchers = survivors.map(async ({ name }) => {
      while (!over && !streamingAt.has(name)) {
        if ((await clients.get(name).query(STREAMING)).rows[0].there) streamingAt.set(name, clock());
        else await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    const { code, json, startedAt, ms } = await sandbox.repctl(['failover', '--yes']);
    if (code !== 0) throw new Error(`failover: ${JSON.stringify(json)}`);
    const target = json.steps.find(({ id }) => id.startsWith('promote:')).node;
    const siblings = survivors.map(({ name }) => name).filter((name) => name !== target);
    await until('siblings', () => siblings.every((name) => streamingAt.has(name)));
    await until(
      'writes',
      () => writer.acknowledged().filter((write) => write.endedAt > startedAt).length > 50,
    );
    over = true;
    await Promise.all(watchers);
    await writer.stop();

    const writes = writer.acknowledged();
    const { rows } = await clients
      .get(target)
      .query('select count(*)::int as kept from products where sku = any($1)', [
        writes.map(({ n }) => skuOf(n)),
      ]);
    let copied = 0;
    for (const name of siblings) {
      await until('the epoch', async () => (await clients.get(name).query(EPOCH_TWO)).rows[0].there);
      copied += (await clients.get(name).query(COPIED)).rows[0].count;
    }
    await Promise.all([...clients.values()].map((client) => client.end()));
    return {
      rate,
      firstWriteMs: writes.find((write) => write.endedAt > startedAt).endedAt - startedAt,
      streamingMs: Math.max(...siblings.map((name) => streamingAt.get(name))) - startedAt,
      commandMs: ms,
      copied,
      lost: writes.length - rows[0].kept,
      announcedBytes: json.data.risk.knownBytes,
      acknowledged: writes.length,
    };
  });
}

/** The floor's own line: `n2 gap 35 ms {"workersGone":…,"n3":{"behind":0,"streaming":70},…}` */
async function floorOnce(program) {
  return withSandbox(['--no-proxy', '--no-cluster'], async (sandbox) => {
    const urls = await sandbox.urls('--superuser', '--direct');
    const { json } = await sandbox.repctl(['sandbox', 'status']);
    const args = [
      program,
      'failover',
      '--writers',
      String(writers),
      '--pause',
      String(pause),
      '--pid',
      String(json.nodes[0].pid),
    ];
    const { stdout, stderr } = spawnSync(process.execPath, [...args, ...urls.map(({ url }) => url)], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    const found = /gap (\d+) ms (\{.*\})/.exec(stdout);
    if (!found) throw new Error(`the floor said: ${stdout}${stderr}`);
    const times = Object.values(JSON.parse(found[2]));
    return {
      gapMs: Number(found[1]),
      streamingMs: Math.max(...times.map((value) => value.streaming ?? 0)),
      lost: Number(/(\d+) lost/.exec(stdout)?.[1] ?? NaN),
    };
  });
}

let program = '';
if (floor !== '') {
  // Beside node_modules, where it finds pg.
  mkdirSync(path.join(ROOT, '.tmp'), { recursive: true });
  program = path.join(ROOT, '.tmp', `floor-${String(process.pid)}.mjs`);
  copyFileSync(floor, program);
}
const results = [];
const floors = [];
try {
  for (let i = 1; i <= runs; i += 1) {
    const result = await one();
    results.push(result);
    let text = `${String(i).padStart(3)}  first write ${result.firstWriteMs.toFixed(0)} ms, siblings streaming ${result.streamingMs.toFixed(0)} ms, tables copied ${String(result.copied)}, lost ${String(result.lost)} of ${String(result.acknowledged)} (announced ${String(result.announcedBytes)} B), ${result.rate.toFixed(0)} writes/s before`;
    if (program !== '') {
      const base = await floorOnce(program);
      floors.push(base);
      text += `; floor ${String(base.gapMs)} ms, ${String(base.streamingMs)} ms`;
    }
    say(text);
  }
} finally {
  if (program !== '') rmSync(program, { force: true });
}

const column = (list, name) => list.map((result) => result[name]);
const sum = (list) => list.reduce((total, value) => total + value, 0);
say(`\n${machine()}`);
say(`writes a second before the kill      p50 ${quantile(column(results, 'rate'), 0.5).toFixed(0)}`);
say(`command start → first write          ${spread(column(results, 'firstWriteMs'))}`);
say(`command start → siblings streaming   ${spread(column(results, 'streamingMs'))}`);
say(`command start → its end              ${spread(column(results, 'commandMs'))}`);
if (floors.length > 0) {
  say(`floor: kill → first write            ${spread(column(floors, 'gapMs'))}`);
  say(`floor: kill → siblings streaming     ${spread(column(floors, 'streamingMs'))}`);
  say(`floor: acknowledged writes lost      ${String(sum(column(floors, 'lost')))}`);
} else say('floor skipped: give its program with --floor PATH');
say(`tables (and so rows) copied          ${String(sum(column(results, 'copied')))}`);
say(
  `acknowledged writes lost             ${String(sum(column(results, 'lost')))} of ${String(sum(column(results, 'acknowledged')))}; announced as at risk: ${String(sum(column(results, 'announcedBytes')))} bytes`,
);
