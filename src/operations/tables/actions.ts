/** What can be done about a table, as data. */
import type { TableName } from '../../cluster/model.js';
import type { Step } from '../../plan/plan.js';
import type { Lsn } from '../../postgres/lsn.js';
import type { TableVerb } from './model.js';

export type TablesAction =
  | {
      readonly kind: 'begin';
      readonly verb: TableVerb;
      readonly leader: string;
      readonly epoch: number;
      readonly tables: readonly TableName[];
    }
  | { readonly kind: 'fence'; readonly node: string; readonly table: TableName; readonly enabled: boolean }
  | {
      readonly kind: 'publish-table';
      readonly node: string;
      readonly table: TableName;
      readonly leads: boolean;
    }
  | {
      readonly kind: 'attach-table';
      readonly node: string;
      readonly leader: string;
      readonly epoch: number;
      readonly subscription: string;
      readonly table: TableName;
      readonly copy: boolean;
    }
  | {
      readonly kind: 'await-tables';
      readonly nodes: readonly string[];
      readonly leader: string;
      readonly epoch: number;
    }
  | {
      readonly kind: 'unpublish-table';
      readonly node: string;
      readonly table: TableName;
      readonly leads: boolean;
    }
  | {
      readonly kind: 'detach-table';
      readonly node: string;
      readonly subscription: string;
      readonly table: TableName;
    }
  | { readonly kind: 'unfence'; readonly node: string; readonly table: TableName }
  | {
      readonly kind: 'end';
      readonly verb: TableVerb;
      readonly leader: string;
      readonly epoch: number;
      readonly nodes: readonly string[];
      readonly tables: readonly TableName[];
    }
  | {
      readonly kind: 'move-standby';
      readonly node: string;
      readonly siblings: readonly string[];
      readonly epoch: number;
      readonly past: Lsn | null;
    };

export type TablesStep = Step<TablesAction>;
