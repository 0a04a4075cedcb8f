/** What a check is asked for, and what it tells while it runs. */
import type { TableName } from '../../cluster/model.js';
import type { Rate } from '../pace.js';
import type { Report } from '../report.js';
import type { Checkpoints } from '../resume/file.js';
import type { SavedRequest } from '../resume/saved.js';
import type { Since } from '../since.js';

export interface CheckRequest {
  /** `products`, `public.products`; none for all published ones. */
  readonly tables: readonly string[];
  /** Replicas; none for all of them. */
  readonly nodes: readonly string[];
  /** Differing rows to keep, per table and replica. */
  readonly rows: number;
  /** Blocks compared at once. */
  readonly concurrency: number;
  readonly blockRows: number;
  /** How long a replica that lags may be waited for, altogether. */
  readonly waitMs: number;
  /** Definitions, publication and sequences alone: no data is read. */
  readonly schemaOnly?: boolean;
  /** A condition on the key's columns that narrows what is compared; for tables that are named. */
  readonly where?: string;
  /** Only rows that changed since. */
  readonly since?: Since;
  /** sha256 instead of the fast hash. */
  readonly paranoid?: boolean;
  /** Everything at one moment, with a short lock on the leader. */
  readonly exact?: boolean;
  /** How fast each node may be read. */
  readonly rate?: Rate;
  /** Takes every difference. */
  readonly report?: Report;
  /** Notes down how far it is, and goes on where an earlier one was interrupted; not with `exact` or `schemaOnly`. */
  readonly checkpoints?: Checkpoints;
  readonly onProgress?: (progress: CheckProgress) => void;
  readonly signal?: AbortSignal;
}

export interface CheckProgress {
  readonly table: TableName;
  readonly rows: number;
  /** Of these, what an interrupted check had compared. */
  readonly before?: number;
  /** As the server estimates. */
  readonly ofRows: number;
}

/** What must be alike in both parts of a check. `report` is a path. */
export const requestOf = (request: CheckRequest, report: string | undefined): SavedRequest => ({
  tables: [...request.tables].sort(),
  nodes: [...request.nodes].sort(),
  rows: request.rows,
  blockRows: request.blockRows,
  paranoid: request.paranoid === true,
  where: request.where ?? null,
  since: request.since === undefined ? null : JSON.stringify(request.since),
  report: report ?? null,
});
