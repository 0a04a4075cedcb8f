/** Tables with everything that makes setting rows right hard, what goes wrong with them, and a writer. */
import type { TableName } from '../../../src/cluster/model.js';
import type { Session } from '../../../src/postgres/session.js';

export const TABLES: readonly TableName[] = [
  ...['team', 'member', 'item', 'swap', 'part', 'nokey', 'uniq', 'listed', 'filtered'].map((name) => ({
    schema: 'public',
    name,
  })),
  { schema: 'Od d', name: 'Ta"ble' },
];

/** team and member refer to each other, member to itself, part (partitioned) to team; deletes cascade. */
export const TABLES_SQL = `
create schema "Od d";
create type mood as enum ('sad', 'so so', 'happy');
create type pair as (a int, b text);
create table team (id int generated always as identity primary key, name text not null unique, lead int);
create table member (id bigint generated always as identity primary key, team int not null references team on delete cascade on update cascade,
  boss bigint references member on delete set null, name text);
alter table team add constraint team_lead foreign key (lead) references member (id) on delete cascade;
comment on constraint team_lead on team is 'who''s first';
create table item (id uuid primary key, doc jsonb, raw json, numbers int[], words text[], bytes bytea, n numeric, f float8, m mood, p pair,
  at timestamptz, d date, i interval, u inet, b bool, v varchar(20), c char(5), twice numeric generated always as (n * 2) stored);
create table swap (id int primary key, code text unique, rank int unique deferrable initially deferred);
create table part (id int, day date, team int references team on delete cascade, note text, primary key (id, day)) partition by range (day);
create table part_old partition of part for values from (minvalue) to ('2026-01-01');
create table part_new partition of part for values from ('2026-01-01') to (maxvalue);
create table nokey (a int, note text);
alter table nokey replica identity full;
create table uniq (code text not null, kind int not null, note text);
create unique index uniq_key on uniq (code, kind);
alter table uniq replica identity using index uniq_key;
create table listed (id int primary key, a text, secret text default 'default');
create table filtered (id int primary key, keep bool not null, note text);
alter table filtered replica identity full;
create table "Od d"."Ta""ble" ("K ey" text primary key, "va""l" text)`;

export const FILL_SQL = `
insert into team (name) select 'team ' || g from generate_series(1, 50) g;
insert into member (team, boss, name) select 1 + g % 50, case when g > 1 then g / 2 end, 'member ' || g from generate_series(1, 3000) g;
update team set lead = id * 3;
insert into item select md5(g::text)::uuid, jsonb_build_object('g', g, 'x', 'é"'), '{"b": 1,  "a": 2}', array[g, null], array['a,b', '"', null], decode('00ff27', 'hex'),
  case g % 5 when 0 then 'NaN' when 1 then 'Infinity' else g / 7.0 end, case g % 3 when 0 then '-Infinity'::float8 when 1 then 'NaN' else 0.1 * g end,
  'so so', row(g, 'it''s, "x"')::pair, case g % 4 when 0 then 'infinity'::timestamptz else '2026-01-01'::timestamptz + g * interval '1 s' end,
  '2026-02-28', '1 mon 2 days 03:04:05.6', '10.0.0.1/8', g % 2 = 0, E'tab\\t\\n\\\\N', 'ab' from generate_series(1, 2000) g;
insert into swap select g, 'code ' || g, g from generate_series(1, 1000) g;
insert into part select g, '2025-12-01'::date + g % 60, 1 + g % 50, 'note' from generate_series(1, 2000) g;
insert into nokey select g % 50, case when g % 3 = 0 then null else 'x' end from generate_series(1, 500) g;
insert into uniq select 'c' || g, g % 3, 'note' from generate_series(1, 500) g;
insert into listed select g, 'a ' || g, 'leader''s secret' from generate_series(1, 100) g;
insert into filtered select g, true, 'note' from generate_series(1, 100) g;
insert into "Od d"."Ta""ble" select 'k ' || g, 'v' from generate_series(1, 300) g;
analyze`;

/** On the leader, once all have their copy. */
export const PUBLICATION_SQL = `
alter publication repctl drop table listed, filtered;
alter publication repctl add table listed (id, a), filtered where (keep)`;

/** On the replicas. The stream fires those of state always and replica, but it deletes nothing of these tables. */
export const TRIGGERS_SQL = `
create table if not exists fired (what text);
create function note_it() returns trigger language plpgsql as 'begin insert into public.fired values (tg_table_name || tg_op); return null; end';
create trigger noted after insert or update or delete on team for each row execute function note_it();
create trigger always_noted after insert or update or delete on swap for each row execute function note_it();
alter table swap enable always trigger always_noted;
create trigger off after insert on swap for each row execute function note_it();
alter table swap disable trigger off;
create trigger replica_noted after insert or update or delete on part for each row execute function note_it();
alter table part enable replica trigger replica_noted`;

/** As whoever is past the fence: rows changed, missing, only here, unique values that changed places, cycles cut. */
export const MESS_SQL = `
update team set name = name || ' (wrong)' where id % 5 = 0;
update team set lead = null where id % 7 = 0;
delete from team where id = 3;
delete from member where id in (6, 12, 2999);
update member set boss = 1, team = 2 where id between 100 and 120;
insert into member (id, team, name) overriding system value values (900001, 1, 'only here');
update item set n = 0 where id = md5('5')::uuid;
update item set doc = '{}', words = '{}', at = null, p = null, m = 'sad' where id = md5('7')::uuid;
delete from item where id = md5('9')::uuid;
insert into item (id) values (md5('only here')::uuid);
update swap set code = 'tmp' where id = 1; update swap set code = 'code 1', rank = 1002 where id = 2; update swap set code = 'code 2', rank = 2 where id = 1;
update swap set rank = 1 where id = 2;
update swap set id = 5000 where id = 10;
update part set day = '2026-01-15' where id = 5;
update part set note = 'wrong' where id between 50 and 60;
delete from part where id = 70;
insert into part values (99999, '2020-01-01', 1, 'only here');
insert into nokey select 1, 'x' from generate_series(1, 5);
delete from nokey where ctid in (select ctid from nokey where a = 2 limit 3);
insert into nokey values (999, null);
update uniq set note = 'wrong', kind = 7 where code = 'c5';
update uniq set note = 'wrong' where code = 'c6';
update listed set secret = 'own ' || id where id <= 2; update listed set a = 'wrong' where id = 1;
delete from listed where id = 3;
insert into filtered values (1000, true, 'only here');
delete from filtered where id = 4;
update "Od d"."Ta""ble" set "va""l" = 'wrong' where "K ey" = 'k 5';
insert into "Od d"."Ta""ble" values ('only here', E'it''s \\\\ "mine"');
delete from fired`;

/** Writes to every table, a transaction at a time, until told to stop; returns how many. */
export async function writeForever(session: Session, signal: AbortSignal): Promise<number> {
  let count = 0;
  while (!signal.aborted) {
    count += 1;
    const n = String(1 + (count % 40));
    const big = String(100_000 + count);
    await session.simple(`begin;
      insert into team (name) values ('new ' || gen_random_uuid());
      insert into member (team, boss, name) values (${n}, ${n}, 'new');
      update team set lead = (select max(id) from member) where id = ${n};
      update item set n = coalesce(n, 0) + 1 where id = md5('${n}')::uuid;
      insert into item (id) values (gen_random_uuid());
      update swap set code = 'moved ' || gen_random_uuid() where id = ${n};
      update part set note = note || '.' where id = ${n};
      insert into nokey values (${n}, 'new'); delete from nokey where a = ${n} and note = 'new' and ${n} % 2 = 0;
      update uniq set note = '${big}' where code = 'c${n}';
      update listed set a = '${big}', secret = 'changed' where id = ${n};
      update filtered set keep = not keep where id = ${n};
      update "Od d"."Ta""ble" set "va""l" = '${big}' where "K ey" = 'k ${n}';
      commit`);
    // A breath, so that replicas that apply row by row without a key are not left far behind.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return count;
}
