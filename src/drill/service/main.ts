/**
 * The reference service of drills: the products API over HTTP, on loopback only.
 *
 *   node dist/drill/service/main.js      the task as a line of JSON on stdin; its URL as a line of JSON on stdout
 *
 * It ends when its stdin closes, also when the process that started it is gone. Ctrl-C is left to that one.
 */
import { type IncomingMessage, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { TableName } from '../../cluster/model.js';
import type { ClusterConfig } from '../../config/schema.js';
import { openPooledFleets } from '../../routing/pooled-fleet.js';
import type { WorkloadPart } from '../scenario.js';
import { answer } from './api.js';
import { processSessions, tokenSessions } from './session.js';

export interface ServiceTask {
  readonly config: ClusterConfig;
  readonly table: TableName;
  readonly pool: WorkloadPart['pool'];
  /** For one statement, milliseconds. */
  readonly timeout: number;
  readonly session: 'token' | 'process';
  /** Any that is free if not given. */
  readonly port?: number;
}

const COOKIE = /(?:^|;\s*)session=([^;]*)/u;
/** No product is larger. */
const MOST_BYTES = 1_000_000;

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new SyntaxError('The body is too long.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function serve(task: ServiceTask): void {
  const { pool } = task;
  const fleets = openPooledFleets(
    { ...task.config, statementTimeoutMs: task.timeout },
    { size: pool.size, overflow: pool.overflow, timeoutMs: pool.timeout, prePing: pool.prePing },
    { applicationName: 'drill service' },
  );
  const sessions = task.session === 'token' ? tokenSessions() : processSessions();
  const server = createServer((request, response) => {
    void (async () => {
      const visit = sessions(COOKIE.exec(request.headers.cookie ?? '')?.[1]);
      const body = await bodyOf(request);
      const {
        status,
        body: data,
        node,
      } = await answer({ fleets, table: task.table }, visit, {
        method: request.method ?? 'GET',
        url: new URL(request.url ?? '/', 'http://localhost'),
        header: (name) => request.headers[name] as string | undefined,
        body,
      });
      response
        .writeHead(status, {
          'content-type': 'application/json',
          'set-cookie': `session=${visit.cookie()}; HttpOnly; Path=/`,
          ...(node === undefined ? {} : { node }),
        })
        .end(JSON.stringify(data));
    })().catch(() => response.destroy());
  });
  server.listen(task.port ?? 0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${String(port)}` })}\n`);
  });
}

process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
process.stdout.on('error', () => process.exit(1));
createInterface({ input: process.stdin })
  .once('line', (line) => {
    serve(JSON.parse(line) as ServiceTask);
  })
  .on('close', () => process.exit(0));
