import type { Style } from './color.js';

export interface InitResult {
  readonly file: string;
  readonly cluster: string;
  readonly tables: readonly string[];
  /** URLs without their passwords. */
  readonly nodes: readonly { readonly name: string; readonly url: string }[];
  /** The command to type next. */
  readonly next: string;
}

export function renderInit({ file, cluster, nodes, tables, next }: InitResult, { c }: Style): string {
  return [
    `${c.green('✓')} ${file}`,
    `  cluster ${cluster}, ${String(nodes.length)} ${nodes.length === 1 ? 'node' : 'nodes'} (${nodes.map(({ name }) => name).join(', ')}), tables ${tables.join(', ')}`,
    `  Next: ${c.cyan(next)}, then ${c.cyan('repctl cluster create')}`,
  ].join('\n');
}
