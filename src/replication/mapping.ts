/**
 * The mapped point: where in this node's WAL a sibling's position in the leader's WAL lies.
 *
 * Replicated transactions keep their origin. Decoding slot `repctl_<sibling>` on a replica shows, for every
 * transaction, its end LSN in the leader's WAL (the Origin message) and its end on this node (the Commit
 * message). The mapped point of a sibling is the end, on this node, of the last transaction whose origin LSN is
 * at or before the sibling's applied position. At or before, not equal: empty and skipped transactions leave no
 * trace. The apply worker commits in the leader's order, so the origin LSNs ascend.
 */
import { EXIT, RepctlError } from '../errors.js';
import { type Lsn, compareLsn, lsnToNumber, maxLsn } from '../postgres/lsn.js';
import { type Session } from '../postgres/session.js';
import { sqlStateOf, translateError } from '../postgres/sqlstate.js';
import { PUBLICATION } from '../cluster/names.js';

/** One message of the decoded stream, in the order of the stream; other kinds of message are left out. */
export type OriginMessage =
  /** The transaction came from elsewhere: its end LSN there, and the name of the origin here. */
  | { readonly kind: 'O'; readonly lsn: Lsn; readonly origin: string }
  /** The transaction inserted into repctl.epoch: with no origin, that is this node's own promotion. */
  | { readonly kind: 'E' }
  /** The transaction's end LSN on this node. */
  | { readonly kind: 'C'; readonly lsn: Lsn };

export interface Mapping {
  /** Where to advance the slot to; null when nothing in the slot was applied by the sibling: leave it. */
  readonly mapped: Lsn | null;
  /** Origin LSN of the transaction that ends at `mapped`: what the slot holds is everything after it. */
  readonly mappedOrigin: Lsn | null;
  /** Replicated transactions that the sibling does not have: what it will get from the slot. */
  readonly missing: number;
  /**
   * Transactions on published tables that came neither from the leader nor from repctl, and precede this node's
   * promotion: local writes past the fence, copied rows.
   */
  readonly foreign: number;
  /** Those of them after `mapped`: they would ship to the sibling. */
  readonly foreignAhead: number;
  /** All transactions in the slot. */
  readonly transactions: number;
  /** Origin LSN of the newest replicated transaction in the slot; null without any. */
  readonly lastOrigin: Lsn | null;
}

export interface OriginReducer {
  add(message: OriginMessage): void;
  result(): Mapping;
}

/**
 * Reduces the stream in constant memory.
 *
 * `siblingApplied`: the sibling's applied position in the leader's WAL. `origin`: the name of this node's own
 * subscription origin (`pg_<oid>`); transactions of other origins count as foreign, since their LSNs are of
 * another server's WAL. Undefined takes every origin, right only where one subscription ever existed.
 */
function originReducer(siblingApplied: Lsn, origin?: string): OriginReducer {
  const limit = lsnToNumber(siblingApplied);
  let current: { lsn: Lsn; origin: string } | null = null;
  let promotion = false;
  let promoted = false;
  let mapped: Lsn | null = null;
  let mappedOrigin: Lsn | null = null;
  let lastOrigin: Lsn | null = null;
  let missing = 0;
  let foreign = 0;
  let foreignAhead = 0;
  let transactions = 0;
  return {
    add(message) {
      if (message.kind === 'O') current = message;
      else if (message.kind === 'E') promotion = true;
      else {
        transactions += 1;
        if (current !== null && (origin === undefined || current.origin === origin)) {
          lastOrigin = lastOrigin === null ? current.lsn : maxLsn(lastOrigin, current.lsn);
          if (lsnToNumber(current.lsn) <= limit) {
            mapped = message.lsn;
            mappedOrigin = current.lsn;
            foreignAhead = 0;
          } else missing += 1;
        } else if (current === null && promotion) promoted = true;
        // From its promotion on, a node's own transactions are the cluster's.
        else if (current !== null || !promoted) {
          foreign += 1;
          foreignAhead += 1;
        }
        current = null;
        promotion = false;
      }
    },
    result: () => ({ mapped, mappedOrigin, missing, foreign, foreignAhead, transactions, lastOrigin }),
  };
}

/** {@link originReducer} over messages at hand. */
export function mapPoint(messages: Iterable<OriginMessage>, siblingApplied: Lsn, origin?: string): Mapping {
  const reducer = originReducer(siblingApplied, origin);
  for (const message of messages) reducer.add(message);
  return reducer.result();
}

/** What the slot of a sibling guarantees, as repctl.standby has it. */
export interface MappingGuard {
  /** The sibling's applied position, and the epoch it was read in. */
  readonly applied: Lsn;
  readonly epoch: number;
  readonly base: { readonly epoch: number; readonly baseLsn: Lsn } | undefined;
}

/** Why mapping would be wrong (`no-base`, `other-epoch`, `behind-base`); null when it is valid. */
export function mappingObstacle(guard: MappingGuard): 'no-base' | 'other-epoch' | 'behind-base' | null {
  if (guard.base === undefined) return 'no-base';
  if (guard.base.epoch !== guard.epoch) return 'other-epoch';
  return compareLsn(guard.applied, guard.base.baseLsn) < 0 ? 'behind-base' : null;
}

/**
 * Origin (79), Commit (67) and Insert (73) into repctl.epoch, as text. Layouts of protocol version 1: Origin is
 * `O` lsn(8) name\0; Commit is `C` flags(1) commit(8) end(8) time(8); Insert is `I` relation oid(4) …. The server
 * filters, so that rows of data never travel; Begin says nothing that Commit does not.
 */
const PEEK_SQL = `
select chr(get_byte(data, 0)) as kind,
       encode(case get_byte(data, 0) when 79 then substr(data, 2, 8) when 67 then substr(data, 11, 8) end, 'hex') as lsn,
       case get_byte(data, 0) when 79 then encode(substr(data, 10, length(data) - 10), 'escape') end as origin
from pg_logical_slot_peek_binary_changes($1, $2, null, 'proto_version', '1', 'publication_names', $3)
where get_byte(data, 0) in (79, 67)
   or (get_byte(data, 0) = 73 and substr(data, 2, 4) = int4send(to_regclass('repctl.epoch')::oid::int))`;

interface PeekRow {
  kind: string;
  lsn: string | null;
  origin: string | null;
}

/** A 64-bit position in hexadecimal (16 digits) as an LSN. */
export function lsnOfHex(hex: string): Lsn {
  return `${BigInt(`0x${hex.slice(0, 8)}`).toString(16)}/${BigInt(`0x${hex.slice(8)}`).toString(16)}`.toUpperCase();
}

/** A row of {@link PEEK_SQL} as a message. */
function messageOfRow(row: PeekRow): OriginMessage {
  if (row.kind === 'O') return { kind: 'O', lsn: lsnOfHex(row.lsn ?? ''), origin: row.origin ?? '' };
  return row.kind === 'C' ? { kind: 'C', lsn: lsnOfHex(row.lsn ?? '') } : { kind: 'E' };
}

export interface PeekOptions {
  /** The sibling's applied (for upkeep: durable) position in the leader's WAL. */
  readonly applied: Lsn;
  /** Origin of this node's subscription to that leader, `pg_<oid>`, tombstones included. */
  readonly origin?: string | undefined;
  /** Decode no further than this position of this node; default: all that is flushed. */
  readonly upTo?: Lsn | undefined;
  /** Decoding costs as much as the gap is long: the session's statement timeout is raised to this. Default 10 min. */
  readonly timeoutMs?: number;
}

const BATCH = 5000;

/**
 * Decodes a slot without consuming it and maps the sibling's position. Costs time as the gap is long, and constant
 * memory here; the server spills what it decoded to a temporary file beyond work_mem.
 *
 * `session` must be a fresh one of its own (closed by the caller): pgoutput keeps what it knew of publications
 * and relations in the backend. Only what is flushed is decoded: call flushNow() before, or map after the
 * promotion committed. Throws RepctlError `slot-active` (exit 6) while another session reads the slot,
 * `slot-unusable` (exit 6) when the server gave it up.
 */
export async function peekOrigins(session: Session, slot: string, options: PeekOptions): Promise<Mapping> {
  await session.simple(`set statement_timeout = ${String(Math.round(options.timeoutMs ?? 600_000))}`);
  const reducer = originReducer(options.applied, options.origin);
  const params = [slot, options.upTo ?? null, PUBLICATION];
  try {
    for await (const rows of session.portions<PeekRow>(PEEK_SQL, params, () => BATCH))
      for (const row of rows) reducer.add(messageOfRow(row));
  } catch (error) {
    throw slotError(error, session.node, slot);
  }
  return reducer.result();
}

/** 55006: in use; 55000: invalidated or of another kind; 42704: no such slot. */
export function slotError(error: unknown, node: string, slot: string): RepctlError {
  const translated = translateError(error, { node, phase: 'query' });
  const state = sqlStateOf(translated);
  const code = state === '55006' ? 'slot-active' : state === '55000' ? 'slot-unusable' : undefined;
  const missing = state === '42704' ? 'slot-missing' : undefined;
  if (code === undefined && missing === undefined) return translated;
  return new RepctlError(code ?? missing ?? '', translated.message, {
    exit: EXIT.refused,
    details: { ...translated.details, slot },
    hint: 'repctl slot list',
    cause: error,
  });
}
