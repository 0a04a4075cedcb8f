/** The harness's own way to the servers: as the superuser, past the proxy, with its own SQL, never through the product's code. */
import pg from 'pg';
import { type Sandbox, nodeOf } from '../../../src/sandbox/sandbox.js';

export interface Direct {
  /** The rows of the last statement; undefined when the server does not answer within two seconds. */
  rows<Row>(node: string, sql: string): Promise<Row[] | undefined>;
  /** The same, where the server must be there. */
  need<Row>(node: string, sql: string): Promise<Row[]>;
  close(): Promise<void>;
}

export function connectTo(url: string, timeoutMs = 2000): pg.Client {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: 'harness',
  });
  client.on('error', () => undefined);
  return client;
}

export function direct(sandbox: Sandbox): Direct {
  const clients = new Map<string, pg.Client>();
  const rows = async <Row>(node: string, sql: string, timeoutMs = 2000): Promise<Row[] | undefined> => {
    try {
      let client = clients.get(node);
      if (client === undefined) {
        client = connectTo(nodeOf(sandbox, node).superuserUrl, timeoutMs);
        await client.connect();
        clients.set(node, client);
      }
      const result = (await client.query(sql)) as unknown as pg.QueryResult | pg.QueryResult[];
      return (Array.isArray(result) ? result.at(-1) : result)?.rows as Row[];
    } catch {
      void clients
        .get(node)
        ?.end()
        .catch(() => undefined);
      clients.delete(node);
      return undefined;
    }
  };
  return {
    rows,
    async need<Row>(node: string, sql: string) {
      const found = (await rows<Row>(node, sql)) ?? (await rows<Row>(node, sql));
      if (found === undefined) throw new Error(`${node} does not answer: ${sql}`);
      return found;
    },
    async close() {
      await Promise.allSettled([...clients.values()].map((client) => client.end()));
      clients.clear();
    },
  };
}
