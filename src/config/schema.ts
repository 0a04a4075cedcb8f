/** The shape of repctl.yaml and the configuration that the domain works with. */
import { z } from 'zod';

/** Node names become part of slot and subscription names, which allow only these characters. */
export const NODE_NAME = /^[a-z][a-z0-9_]{0,29}$/;

const url = z.string().min(1);

export const nodeSchema = z.strictObject({
  /** How this machine reaches the node. */
  url,
  /** How the other nodes reach it, where that differs: one URL for all, or one by the name of the other node. */
  replicationUrl: z.union([url, z.record(z.string(), url)]).optional(),
  /** Higher is preferred as the next leader among equally advanced replicas. */
  priority: z.number().int().min(0).max(1000).default(100),
});

export const configSchema = z.strictObject({
  cluster: z.string().min(1).max(63),
  /** Tables to replicate: `products`, `public.orders`, `app.*`. */
  tables: z.array(z.string().min(1)).min(1).default(['public.products']),
  nodes: z.record(z.string().regex(NODE_NAME), nodeSchema),
  /** How far past the highest value in use a new leader's sequences start. */
  sequenceGap: z.number().int().min(0).default(1000),
  connectTimeout: z.number().positive().default(3),
  statementTimeout: z.number().positive().default(30),
  /** Seconds that a failover waits for apply workers to finish what they had received. */
  drainTimeout: z.number().positive().default(10),
});

export type FileConfig = z.infer<typeof configSchema>;

export interface NodeConfig {
  readonly name: string;
  readonly url: string;
  readonly replicationUrl?: string | Readonly<Record<string, string>>;
  readonly priority: number;
}

export interface ClusterConfig {
  readonly cluster: string;
  readonly tables: readonly string[];
  /** In the order of the file. */
  readonly nodes: readonly NodeConfig[];
  readonly sequenceGap: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** Where it was read from: a path, `sandbox`, or `environment`. */
  readonly source: string;
}

/** How node `from` reaches node `to` (the connection of a subscription). */
export function replicationUrl(to: NodeConfig, from: string): string {
  if (typeof to.replicationUrl === 'string') return to.replicationUrl;
  return to.replicationUrl?.[from] ?? to.url;
}
