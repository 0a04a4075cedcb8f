/** Small changes to single parts (subscription, slot, sequence) as data: shown, asked, run like any other plan. */
import type { UpkeepMove } from '../../replication/upkeep.js';

export interface RunSql {
  readonly kind: 'sql';
  readonly node: string;
  readonly sql: readonly string[];
}

export interface DropSlot {
  readonly kind: 'drop-slot';
  readonly node: string;
  readonly slot: string;
  /** Of which sibling, where it was a standby slot: its base goes too. */
  readonly sibling: string | null;
}

export interface AdvanceSlot {
  readonly kind: 'advance-slot';
  readonly move: UpkeepMove;
}

export type PartAction = RunSql | DropSlot | AdvanceSlot;
