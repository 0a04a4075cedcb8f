/** Export: the whole table as one statement sees it, streamed by COPY: constant memory, one consistent snapshot. */
import { Transform, type Writable } from 'node:stream';
import { to as copyTo } from 'pg-copy-streams';
import { RepctlError } from '../errors.js';
import { ident, qualified } from '../postgres/quote.js';
import { abandon, copyPipeline } from '../postgres/copy.js';
import type { Session } from '../postgres/session.js';
import { exportList } from './output.js';
import type { ProductColumn, ProductTable } from './table.js';

export type ExportFormat = 'csv' | 'ndjson';

/**
 * NDJSON leaves COPY as CSV with a quote and a delimiter that JSON text never holds (it escapes control
 * characters), so that no line is ever quoted.
 */
export function exportSql(
  table: ProductTable,
  columns: readonly ProductColumn[],
  format: ExportFormat,
): string {
  const rows = `select ${exportList(columns)} from ${qualified(table)} order by ${ident(table.key.name)}${table.key.collatable ? ' collate "C"' : ''}`;
  return format === 'csv'
    ? `copy (${rows}) to stdout (format csv, header)`
    : `copy (select row_to_json(p) from (${rows}) p) to stdout (format csv, quote e'\\x01', delimiter e'\\x02')`;
}

export interface ExportResult {
  readonly rows: number;
  readonly bytes: number;
}

/** Writes to `output` and leaves it open. Waits for the reader, however slow. */
export async function exportProducts(
  session: Session,
  table: ProductTable,
  request: {
    columns: readonly ProductColumn[];
    format: ExportFormat;
    output: Writable;
    progress?: ((bytes: number) => void) | undefined;
  },
): Promise<ExportResult> {
  return session.transaction(async () => {
    await session.query('set local statement_timeout = 0');
    const source = session.client.query(copyTo(exportSql(table, request.columns, request.format)));
    let bytes = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        request.progress?.(bytes);
        done(null, chunk);
      },
    });
    await copyPipeline(session, [source, meter, request.output], { end: false }).catch((error: unknown) => {
      if (!(error instanceof RepctlError)) abandon(session);
      throw error;
    });
    return { rows: source.rowCount, bytes };
  }, 'read only');
}
