/** Past proxy and routing: clients on the far side of a partition, and the observers' looks at every node. */
import pg from 'pg';
import { connectionOf } from '../../config/connection.js';
import { qualified } from '../../postgres/quote.js';
import type { LookLine, WriteLine } from '../history.js';
import { type SeenRow, rowSku, seenSql } from './rows.js';

const ANSWER_MS = 1000;

/** One connection to one node, opened again whenever it was lost. Throws what pg throws. */
export interface Direct {
  query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[]): Promise<Row[]>;
  close(): void;
}

export function openDirect(url: string, applicationName: string): Direct {
  let client: pg.Client | undefined;
  const drop = (): void => {
    const old = client;
    client = undefined;
    // A frozen server never answers the goodbye.
    (
      old as unknown as { connection?: { stream?: { destroy(): void } } } | undefined
    )?.connection?.stream?.destroy();
  };
  return {
    async query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[]) {
      if (client === undefined) {
        const opened = new pg.Client({
          ...connectionOf(url),
          application_name: applicationName,
          connectionTimeoutMillis: ANSWER_MS,
          query_timeout: ANSWER_MS,
        });
        opened.on('error', () => {
          if (client === opened) drop();
        });
        client = opened;
        try {
          await opened.connect();
        } catch (error) {
          drop();
          throw error;
        }
      }
      try {
        return (await client.query<Row>(sql, [...params])).rows;
      } catch (error) {
        if (!(error instanceof pg.DatabaseError) || error.severity !== 'ERROR') drop();
        throw error;
      }
    },
    close: drop,
  };
}

type Table = Parameters<typeof qualified>[0];

export async function look(
  direct: Direct,
  node: string,
  table: Table,
  clients: readonly string[],
  now: () => number,
): Promise<LookLine> {
  const begin = now();
  try {
    const [row] = await direct.query<SeenRow & pg.QueryResultRow>(seenSql(table), [clients]);
    return { kind: 'look', node, begin, end: now(), seen: row?.seen ?? {} };
  } catch {
    return { kind: 'look', node, begin, end: now(), seen: null };
  }
}

/** A row through bare pg, to that node whoever leads. */
export async function sendStray(
  direct: Direct,
  node: string,
  table: Table,
  client: string,
  n: number,
  due: number,
  now: () => number,
): Promise<WriteLine> {
  const begin = now();
  const about = { kind: 'write' as const, client, op: 'insert' as const, n, due, node };
  try {
    await direct.query(
      `insert into ${qualified(table)} (sku, name, price) values ($1, 'Written past the routing', 1)`,
      [rowSku(client, n)],
    );
    return { ...about, begin, end: now(), outcome: 'ok' };
  } catch (error) {
    // FATAL (57P01: shutting down) may come after the commit; ERROR is the statement's own.
    const server = error instanceof pg.DatabaseError;
    const connecting = (error as { syscall?: string }).syscall === 'connect';
    const refused = connecting || (server && (error.severity === 'ERROR' || error.code === '57P03'));
    const code = server ? (error.code ?? 'error') : connecting ? 'node-unreachable' : 'connection-lost';
    return { ...about, begin, end: now(), outcome: refused ? 'refused' : 'unknown', code };
  }
}
