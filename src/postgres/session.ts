/**
 * One connection to one node. Every statement goes through here: it is timed, traced with --verbose and
 * bounded by a statement timeout, and what fails comes out as a RepctlError that names the node.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type pg from 'pg';
import { messageOf } from '../errors.js';
import { isConnectionLoss, translateError } from './sqlstate.js';
import { watched } from './watchdog.js';

/** A traced statement: what ran where, and how long it took in milliseconds. */
export interface Trace {
  node: string;
  sql: string;
  params?: readonly unknown[] | undefined;
  ms: number;
  rows?: number | undefined;
  error?: string;
}

export interface SessionOptions {
  /** The node's name, for errors and traces. */
  node: string;
  connection: pg.ClientConfig;
  /** Shown in pg_stat_activity; default `repctl`. */
  applicationName?: string;
  connectTimeoutMs: number;
  statementTimeoutMs: number;
  /** Its commits wait for no replica, whatever the server's sync mode: for what repctl writes for itself. */
  commitsLocally?: boolean;
  /** Called after every statement. */
  trace?: ((trace: Trace) => void) | undefined;
}

/** What one statement answered. */
export interface StatementResult {
  /** `SELECT`, `UPDATE`, `CREATE TABLE` and so on. */
  readonly command: string;
  /** Rows returned or changed; null where that means nothing. */
  readonly count: number | null;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

export interface Session {
  readonly node: string;
  /** False once the connection is known to be lost or closed. */
  readonly alive: boolean;
  /** The raw client, for COPY streams and replication; statements go through query(). */
  readonly client: pg.Client;
  /** One statement with parameters; the rows. int8, numeric and timestamps are strings. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
  /** A long statement that a session asks again and again: parsed and planned once. Direct connections only. */
  prepared<Row = Record<string, unknown>>(sql: string): Promise<Row[]>;
  /** One or more statements without parameters (simple protocol); the rows of the last one. */
  simple<Row = Record<string, unknown>>(sql: string): Promise<Row[]>;
  /** One or more statements of unknown kind (simple protocol): what each of them answered, rows as arrays. */
  results(sql: string): Promise<StatementResult[]>;
  /**
   * The rows of one long answer, as many at a time as `most` says before each portion; the last one is smaller, or
   * empty. Memory does not grow with the answer. The session is of no other use until the generator has ended.
   */
  portions<Row>(sql: string, params: readonly unknown[], most: () => number): AsyncGenerator<Row[]>;
  /** Runs `body` between begin and commit; rolls back and rethrows when it throws. */
  transaction<T>(body: () => Promise<T>, mode?: string): Promise<T>;
  close(): Promise<void>;
}

/** Types that JavaScript holds without loss; everything else stays the server's text. */
const PARSED_TYPES = new Set([
  16, // bool
  21, // int2
  23, // int4
  26, // oid
  114, // json
  3802, // jsonb
  700, // float4
  701, // float8
  // arrays of text, name, oid, int4 and bool
  1009,
  1003,
  1028,
  1007,
  1000,
]);

/**
 * What every session pins, so that values print alike on every server whatever its configuration says.
 * A statement after connecting, not startup parameters: PgBouncer refuses those it does not know.
 */
function pinSql({ statementTimeoutMs, commitsLocally = false }: SessionOptions): string {
  return [
    `set statement_timeout = ${String(Math.round(statementTimeoutMs))}`,
    `set timezone = 'UTC'`,
    `set datestyle = 'ISO, YMD'`,
    `set intervalstyle = 'postgres'`,
    `set extra_float_digits = 3`,
    `set bytea_output = 'hex'`,
    `set standard_conforming_strings = on`,
    `set client_min_messages = warning`,
    // 17 has it; a role's would end a long snapshot, and its session with it.
    `select set_config('transaction_timeout', '0', false) where current_setting('transaction_timeout', true) is not null`,
    // Even a DDL statement's commit would hang while too few replicas are connected, which is when repctl is called.
    ...(commitsLocally ? ['set synchronous_commit = local'] : []),
  ].join('; ');
}

/** How long a statement may be silent before the server is asked over another connection whether it is there. */
const SILENT_MS = 10_000;

interface Wire {
  readonly stream: Socket;
  attachListeners(stream: Socket): void;
}

const wireOf = (client: pg.Client): Wire => (client as unknown as { connection: Wire }).connection;

/**
 * What is no PostgreSQL protocol makes pg's parser throw out of the socket's own event, past every promise. Here
 * it ends the connection with that error instead, as a lost connection does.
 */
function surviveGarbage(client: pg.Client): void {
  const wire = wireOf(client);
  const attach = wire.attachListeners.bind(wire);
  // Called with the socket in the end used: the plain one, or the one that speaks TLS.
  wire.attachListeners = (stream) => {
    const before = new Set(stream.listeners('data'));
    attach(stream);
    for (const listener of stream.listeners('data').filter((it) => !before.has(it))) {
      const parse = listener as (data: Buffer) => void;
      stream.off('data', parse).on('data', (data: Buffer) => {
        try {
          parse(data);
        } catch (error) {
          stream.destroy(new Error(`it does not speak PostgreSQL's protocol (${messageOf(error)})`));
        }
      });
    }
  };
}

/** A server that hangs (or is stopped) never answers the goodbye: then the socket is closed from this side. */
async function endOrDestroy(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => {
    wireOf(client).stream.destroy();
  }, 500);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

/** The same text always has the same name, and another text another one. */
const statementName = (sql: string): string =>
  `repctl_${createHash('sha256').update(sql).digest('hex').slice(0, 32)}`;

/**
 * Opens a session. Throws RepctlError: `node-unreachable` (exit 3) when the server cannot be reached in
 * `connectTimeoutMs`, `auth-failed`, `database-missing` and others as the server says.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { default: pgModule } = await import('pg');
  const client = new pgModule.Client({
    ...options.connection,
    connectionTimeoutMillis: 0, // our own below, which bounds more than the login
    application_name: options.applicationName ?? 'repctl',
    keepAlive: true,
    types: {
      getTypeParser: ((oid: number) =>
        PARSED_TYPES.has(oid)
          ? (pgModule.types.getTypeParser as (type: number) => unknown)(oid)
          : (value: unknown) => value) as typeof pgModule.types.getTypeParser,
    },
  });
  surviveGarbage(client);
  const state = { alive: true, closed: false };
  // A server that goes away while the connection idles raises 'error'; the next statement reports it.
  client.on('error', () => {
    state.alive = false;
  });
  client.on('end', () => {
    state.alive = false;
  });
  // One statement at a time: steps that run in parallel may share a node's session.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(body: () => Promise<T>): Promise<T> => {
    const next = last.then(body);
    last = next.catch(() => undefined);
    return next;
  };
  const run = <Row>(sql: string, params?: readonly unknown[]): Promise<Row[]> =>
    inTurn(async () => ((await send(sql, params)).at(-1)?.rows ?? []) as Row[]);
  const knock = async () => {
    const { stream } = wireOf(client);
    const heard = stream.bytesRead;
    try {
      await (await openSession({ ...options, trace: undefined })).close();
    } catch (error) {
      // Its answer is on its way here: this program was too busy with it to see that it was let in.
      if (stream.bytesRead === heard) throw error;
    }
  };
  const giveUp = () => {
    wireOf(client).stream.destroy(new Error('the server does not answer any more'));
  };
  const send = async (
    sql: string,
    params?: readonly unknown[],
    how: { readonly rowMode?: 'array'; readonly name?: string } = {},
  ): Promise<pg.QueryResult[]> => {
    const start = performance.now();
    try {
      const statement = client.query({
        text: sql,
        ...(params ? { values: [...params] } : {}),
        ...how,
      } as pg.QueryConfig) as unknown as Promise<pg.QueryResult | pg.QueryResult[]>;
      const result = await watched(statement, SILENT_MS, knock, giveUp);
      const all = Array.isArray(result) ? result : [result];
      options.trace?.({
        node: options.node,
        sql,
        params,
        ms: performance.now() - start,
        rows: all.at(-1)?.rows.length,
      });
      return all;
    } catch (error) {
      const translated = translateError(error, { node: options.node, phase: 'query' });
      // The server says so (57P01 and others) before its socket closes: nobody may take this session for alive.
      if (isConnectionLoss(translated)) state.alive = false;
      // A session that we closed ourselves, because its answer was not needed any more, failed nobody.
      if (!state.closed)
        options.trace?.({
          node: options.node,
          sql,
          params,
          ms: performance.now() - start,
          error: translated.message,
        });
      throw translated;
    }
  };
  // pg's own limit ends with the login; a server that answers no query after it must not be waited for either.
  const limit = setTimeout(() => {
    const seconds = String(options.connectTimeoutMs / 1000);
    wireOf(client).stream.destroy(new Error(`no answer within ${seconds} s`));
  }, options.connectTimeoutMs);
  try {
    await client.connect();
    await client.query(pinSql(options));
  } catch (error) {
    state.alive = false;
    void endOrDestroy(client);
    throw translateError(error, { node: options.node, phase: 'connect', connection: options.connection });
  } finally {
    clearTimeout(limit);
  }
  return {
    node: options.node,
    client,
    get alive() {
      return state.alive;
    },
    query: run,
    simple: (sql) => run(sql),
    prepared: <Row>(sql: string) =>
      inTurn(
        async () => ((await send(sql, undefined, { name: statementName(sql) })).at(-1)?.rows ?? []) as Row[],
      ),
    results: (sql) =>
      inTurn(async () =>
        (await send(sql, undefined, { rowMode: 'array' })).map((result) => ({
          command: result.command,
          count: result.rowCount,
          columns: result.fields.map((field) => field.name),
          rows: result.rows as unknown[][],
        })),
      ),
    async *portions<Row>(sql: string, params: readonly unknown[], most: () => number) {
      const { default: Cursor } = await import('pg-cursor');
      const start = performance.now();
      const cursor = client.query(new Cursor<Row>(sql, [...params]));
      const gone = new Promise<void>((resolve) => void client.once('end', resolve));
      let count = 0;
      try {
        for (;;) {
          const size = most();
          const rows = await watched(cursor.read(size), SILENT_MS, knock, giveUp);
          count += rows.length;
          yield rows;
          if (rows.length < size) break;
        }
        options.trace?.({ node: options.node, sql, params, ms: performance.now() - start, rows: count });
      } catch (error) {
        throw translateError(error, { node: options.node, phase: 'query' });
      } finally {
        // pg-cursor's close() waits for an answer, which a connection that is gone never gives.
        if (state.alive) {
          const closed = Promise.race([cursor.close().catch(() => undefined), gone]);
          await watched(closed, SILENT_MS, knock, giveUp);
        }
      }
    },
    async transaction(body, mode = '') {
      await run(`begin ${mode}`);
      try {
        const value = await body();
        await run('commit');
        return value;
      } catch (error) {
        // The connection may be what failed; the first error is the one that matters.
        if (state.alive) await run('rollback').catch(() => undefined);
        throw error;
      }
    },
    async close() {
      state.alive = false;
      state.closed = true;
      await endOrDestroy(client);
    },
  };
}
