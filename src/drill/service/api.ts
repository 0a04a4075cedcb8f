/**
 * The products API as drills use it (docs/drill.md): what a request means, through the same routing as `repctl
 * product`. Knows nothing of sockets.
 */
import type { TableName } from '../../cluster/model.js';
import { RepctlError, messageOf } from '../../errors.js';
import { qualified } from '../../postgres/quote.js';
import { changeProduct } from '../../products/service.js';
import type { PooledFleets } from '../../routing/pooled-fleet.js';
import { read } from '../../routing/read.js';
import { READ_LEVELS, type ReadLevel } from '../../routing/route.js';
import type { Routing } from '../../routing/write.js';
import { outcomeOf } from '../workload/clients.js';
import type { Visit } from './session.js';

/** As the commands of `product` have them. */
const READ_PATIENCE_MS = 1000;
const WRITE_PATIENCE_MS = 5000;
const MOST = 100;

export interface ApiRequest {
  readonly method: string;
  readonly url: URL;
  readonly header: (name: string) => string | undefined;
  readonly body: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** The node that served it. */
  readonly node?: string;
}

export interface ApiWorld {
  readonly fleets: PooledFleets;
  readonly table: TableName;
}

/** Never throws: an error is an answer. 503: certainly not done. 502: nobody knows. */
export async function answer(world: ApiWorld, visit: Visit, request: ApiRequest): Promise<ApiAnswer> {
  try {
    return await dispatch(world, visit, request);
  } catch (error) {
    const code = error instanceof RepctlError ? error.code : 'error';
    const status =
      code === 'product-not-found'
        ? 404
        : error instanceof SyntaxError || (error instanceof RepctlError && error.exit === 2)
          ? 400
          : outcomeOf(error).outcome === 'unknown'
            ? 502
            : 503;
    return { status, body: { error: { code, message: messageOf(error) } } };
  }
}

async function dispatch(world: ApiWorld, visit: Visit, request: ApiRequest): Promise<ApiAnswer> {
  const { method, url } = request;
  const adjusted = /^\/products\/([^/]+)\/stock$/u.exec(url.pathname)?.[1];
  if (method === 'GET' && url.pathname === '/products') return list(world, visit, request);
  if (method === 'POST' && url.pathname === '/products') {
    const values = new Map(
      Object.entries(JSON.parse(request.body) as object).map(([name, value]) => [name, String(value)]),
    );
    return change(world, visit, request, 201, { action: 'create', key: values.get('sku') ?? '', values });
  }
  if (method === 'POST' && adjusted !== undefined) {
    const { delta } = JSON.parse(request.body) as { delta: number };
    return change(world, visit, request, 200, {
      action: 'adjust',
      key: decodeURIComponent(adjusted),
      delta,
    });
  }
  return {
    status: 404,
    body: { error: { code: 'not-found', message: `There is no ${method} ${url.pathname}.` } },
  };
}

const routingOf = (visit: Visit, fleet: Routing['fleet'], patienceMs: number): Routing => ({
  fleet,
  store: visit.store,
  session: visit.session,
  patienceMs,
  patient: false,
  note: () => undefined,
});

async function change(
  { fleets }: ApiWorld,
  visit: Visit,
  request: ApiRequest,
  status: number,
  wanted: ReturnType<Parameters<typeof changeProduct>[2]>,
): Promise<ApiAnswer> {
  const id = request.header('idempotency-key') ?? crypto.randomUUID();
  const { product, node } = await fleets.lease((fleet) =>
    changeProduct(routingOf(visit, fleet, WRITE_PATIENCE_MS), id, () => wanted),
  );
  return { status, body: { product }, node };
}

/** The last products whose SKU begins with `prefix`, in the order of bytes from the highest, and how many there are. */
const listSql = (table: TableName): string => `
select (select count(*)::int from ${qualified(table)} p where starts_with(p.sku, $1)) as total,
  (select coalesce(json_agg(r), '[]') from (
    select p.sku, p.name, p.price::text, p.stock from ${qualified(table)} p where starts_with(p.sku, $1)
    order by p.sku collate "C" desc limit $2) r) as products`;

async function list({ fleets, table }: ApiWorld, visit: Visit, request: ApiRequest): Promise<ApiAnswer> {
  const query = request.url.searchParams;
  const asked = request.header('read-level') ?? 'session';
  const level = READ_LEVELS.find((one): one is ReadLevel => one === asked);
  const limit = Number(query.get('limit') ?? 20);
  if (level === undefined || !Number.isInteger(limit) || limit < 1 || limit > MOST)
    throw new RepctlError(
      'usage',
      `limit is 1 to ${String(MOST)}, Read-Level one of ${READ_LEVELS.join(', ')}.`,
    );
  const { value, served } = await fleets.lease((fleet) =>
    read(routingOf(visit, fleet, READ_PATIENCE_MS), { level }, async (session) => {
      const [row] = await session.query<{ total: number; products: unknown[] }>(listSql(table), [
        query.get('prefix') ?? '',
        limit,
      ]);
      return row;
    }),
  );
  return { status: 200, body: { ...value }, node: served.node };
}
