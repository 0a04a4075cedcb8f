/** The clients' way through a web service: the products API of docs/drill.md, in turn at one URL after the other. */
import { Agent, request } from 'node:http';
import { request as requestTls } from 'node:https';
import type { ReadLevel } from '../../routing/route.js';
import type { ReadLine, WriteLine } from '../history.js';
import { adjustedSku, rowSku } from './rows.js';

export interface HttpWorld {
  readonly urls: readonly string[];
  /** A session goes on at the URL where it began, while that one answers. */
  readonly sticky: boolean;
  /** For one request, milliseconds. */
  readonly timeout: number;
  readonly now: () => number;
  readonly random: () => number;
}

interface Asked {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Answered {
  readonly status: number;
  readonly node: string | undefined;
  readonly body: string;
}

export interface HttpClients {
  write(client: string, op: 'insert' | 'adjust', n: number, due: number): Promise<WriteLine>;
  read(client: string, session: string, level: ReadLevel, due: number): Promise<ReadLine>;
  close(): void;
}

/** Not even a connection: nothing was sent, so the next URL may be asked. */
const NOT_SENT: readonly string[] = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'];

/** What a status says of a write: 5xx other than 503 leave it open. */
export const outcomeOfStatus = (status: number): 'ok' | 'refused' | 'unknown' =>
  status >= 200 && status < 300 ? 'ok' : status >= 500 && status !== 503 ? 'unknown' : 'refused';

export function openHttp(world: HttpWorld): HttpClients {
  const { urls, now } = world;
  const cookies = new Map<string, string>();
  const homes = new Map<string, number>();
  // A connection for each request: one that is kept would be found dead only by the request that is sent on it.
  const agent = new Agent({ keepAlive: false });
  let turn = 0;
  /** A session asks for one thing at a time, as a person does: answers that cross would undo each other's cookie. */
  const queues = new Map<string, Promise<unknown>>();
  const inTurn = <T>(session: string, work: () => Promise<T>): Promise<T> => {
    const mine = (queues.get(session) ?? Promise.resolve()).then(work);
    queues.set(session, mine);
    return mine;
  };

  const send = (base: string, session: string, asked: Asked): Promise<Answered> =>
    new Promise((resolve, reject) => {
      const url = new URL(base.replace(/\/$/u, '') + asked.path);
      const cookie = cookies.get(session);
      const tls = url.protocol === 'https:';
      const text = asked.body === undefined ? undefined : JSON.stringify(asked.body);
      const sent = (tls ? requestTls : request)(
        url,
        {
          method: asked.method,
          ...(tls ? {} : { agent }),
          signal: AbortSignal.timeout(world.timeout),
          headers: {
            ...asked.headers,
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
            ...(cookie === undefined ? {} : { cookie }),
          },
        },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.once('error', reject).once('end', () => {
            const set = (response.headers['set-cookie'] ?? []).map((one) => one.split(';')[0] ?? '');
            if (set.length > 0) cookies.set(session, set.join('; '));
            const { node } = response.headers;
            resolve({
              status: response.statusCode ?? 0,
              node: typeof node === 'string' ? node : undefined,
              body,
            });
          });
        },
      );
      sent.once('error', reject).end(text);
    });

  /** As a round robin does: the next one where nobody listens. Throws what the last one threw. */
  const ask = async (session: string, asked: Asked): Promise<Answered> => {
    const first = world.sticky ? (homes.get(session) ?? turn++) : turn++;
    for (let tried = 0; ; tried += 1) {
      const at = (first + tried) % urls.length;
      try {
        const answered = await send(urls[at] ?? '', session, asked);
        homes.set(session, at);
        return answered;
      } catch (error) {
        if (!NOT_SENT.includes(codeOf(error)) || tried + 1 >= urls.length) throw error;
      }
    }
  };

  const write = async (
    client: string,
    op: 'insert' | 'adjust',
    n: number,
    due: number,
  ): Promise<WriteLine> => {
    const begin = now();
    const about = { kind: 'write' as const, client, op, n, due, begin };
    const headers = { 'idempotency-key': crypto.randomUUID() };
    const sku = op === 'insert' ? rowSku(client, n) : adjustedSku(Math.floor(world.random() * 1000));
    try {
      const { status, node } = await ask(client, {
        method: 'POST',
        headers,
        ...(op === 'insert'
          ? { path: '/products', body: { sku, name: `Row ${String(n)} of ${client}`, price: '1' } }
          : { path: `/products/${encodeURIComponent(sku)}/stock`, body: { delta: 1 } }),
      });
      const outcome = outcomeOfStatus(status);
      return {
        ...about,
        end: now(),
        outcome,
        ...(node === undefined ? {} : { node }),
        ...(outcome === 'ok' ? {} : { code: `http-${String(status)}` }),
      };
    } catch (error) {
      const code = codeOf(error);
      return { ...about, end: now(), outcome: NOT_SENT.includes(code) ? 'refused' : 'unknown', code };
    }
  };

  const read = async (client: string, session: string, level: ReadLevel, due: number): Promise<ReadLine> => {
    const begin = now();
    const about = { kind: 'read' as const, client, session, level, due, begin };
    const prefix = rowSku(session, 0).replace(/\d+$/u, '');
    try {
      const { status, node, body } = await ask(session, {
        method: 'GET',
        path: `/products?prefix=${encodeURIComponent(prefix)}&limit=1`,
        headers: { 'read-level': level },
      });
      const end = now();
      if (outcomeOfStatus(status) !== 'ok')
        return { ...about, end, outcome: 'refused', code: `http-${String(status)}` };
      const { products, total } = JSON.parse(body) as { products: { sku: string }[]; total: number };
      const top = Number(products[0]?.sku.slice(prefix.length) ?? 0);
      return {
        ...about,
        end,
        outcome: 'ok',
        ...(node === undefined ? {} : { node }),
        seen: { [session]: [top, total] },
      };
    } catch (error) {
      return { ...about, end: now(), outcome: 'refused', code: codeOf(error) };
    }
  };

  return {
    write: (client, op, n, due) => inTurn(client, () => write(client, op, n, due)),
    read: (client, session, level, due) => inTurn(session, () => read(client, session, level, due)),
    close() {
      agent.destroy();
    },
  };
}

function codeOf(error: unknown): string {
  if (error instanceof SyntaxError || error instanceof TypeError) return 'not-the-products-api';
  const { code, name } = error as { code?: unknown; name?: string };
  return typeof code === 'string' ? code : name === 'TimeoutError' ? 'timeout' : (name ?? 'error');
}
