/** Products through the router: what the commands call. */
import type { Routing } from '../routing/write.js';
import { write } from '../routing/write.js';
import { type ReadRequest, type Served, read } from '../routing/read.js';
import type { Mark } from '../routing/token.js';
import { type ListRequest, type ProductPage, listStatement, pageOf } from './list.js';
import type { Product } from './output.js';
import { getStatement } from './statements.js';
import { type ProductTable, describeProducts } from './table.js';
import { checkValue } from './values.js';
import { type WriteRequest, checkRequest, notFound, writeProduct } from './write.js';

export interface ProductRead {
  readonly product: Product;
  readonly node: string;
  readonly epoch: number | null;
}

export interface ProductWritten {
  readonly action: WriteRequest['action'];
  readonly product: Product;
  /** Done before under the same request id; this run changed nothing. */
  readonly replayed: boolean;
  readonly node: string;
  readonly token: Mark;
  readonly requestId: string;
}

/** Throws `product-not-found` (exit 2) and what read() throws. */
export async function getProduct(routing: Routing, request: ReadRequest, key: string): Promise<ProductRead> {
  const { value, served } = await read(routing, request, async (session) => {
    const table = await describeProducts(session, routing.fleet.config);
    checkValue(table.key, key, true);
    const { sql, params } = getStatement(table, key);
    return (await session.query(sql, params))[0];
  });
  if (value === undefined) throw notFound(key);
  return { product: value, node: served.node, epoch: served.epoch };
}

export async function listProducts(
  routing: Routing,
  request: ReadRequest,
  make: (table: ProductTable) => ListRequest,
): Promise<{ page: ProductPage; table: ProductTable; request: ListRequest; served: Served }> {
  const { value, served } = await read(routing, request, async (session) => {
    const table = await describeProducts(session, routing.fleet.config);
    const list = make(table);
    const { sql, params } = listStatement(table, list);
    return { page: pageOf(table, list, await session.query(sql, params)), table, request: list };
  });
  return { ...value, served };
}

/** Throws what checkRequest, writeProduct and write() throw. */
export async function changeProduct(
  routing: Routing,
  requestId: string,
  make: (table: ProductTable) => WriteRequest,
): Promise<ProductWritten> {
  let action: WriteRequest['action'] = 'create';
  const { value, node, token } = await write(
    routing,
    async (target) => {
      const table = await describeProducts(target.session, routing.fleet.config);
      const request = make(table);
      action = request.action;
      checkRequest(table, request);
      return writeProduct(target, table, request, requestId);
    },
    (target) => target.requests,
    `The same command with --request-id ${requestId} finds out: it is done once, however often it is sent.`,
  );
  return { action, ...value, node, token, requestId };
}
