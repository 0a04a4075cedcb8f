/** The shape of repctl.yaml and the configuration that the domain works with. */
// zod/mini, not zod: the full package costs every command 20 ms at its start.
import * as z from 'zod/mini';

/** Node names become part of slot and subscription names, which allow only these characters. */
export const NODE_NAME = /^[a-z][a-z0-9_]{0,29}$/;

/** `${VAR}` gives a string, also where a number is meant. */
const number = (min: number, max: number) =>
  z.pipe(
    z.transform((value: unknown) =>
      typeof value === 'string' && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value,
    ),
    z.number().check(z.gte(min), z.lte(max)),
  );
const whole = (min: number, max: number) =>
  z.pipe(number(min, max), z.number().check(z.refine((value) => Number.isInteger(value))));
const text = (max = 10_000) => z.string().check(z.minLength(1), z.maxLength(max));

const nodeSchema = z.strictObject({
  /** How this machine reaches the node. */
  url: text(),
  /** How the other nodes reach it, where that differs: one URL for all, or one by the name of the other node. */
  replicationUrl: z.optional(z.union([text(), z.record(text(), text())])),
  /** Higher is preferred as the next leader among equally advanced replicas. */
  priority: z._default(whole(0, 1000), 100),
});

const argv = z.optional(z.array(text()).check(z.minLength(1)));

/** Programs around a leader change; docs/configuration.md. */
const hooksSchema = z.strictObject({
  beforePromote: argv,
  afterPromote: argv,
  onRollback: argv,
  /** Seconds. */
  timeout: z._default(number(0.1, 3600), 10),
});

export const configSchema = z.strictObject({
  cluster: text(63),
  /** Tables to replicate: `products`, `public.orders`, `app.*`. */
  tables: z._default(z.array(text()).check(z.minLength(1)), ['public.products']),
  nodes: z
    .record(z.string().check(z.regex(NODE_NAME)), nodeSchema)
    .check(z.refine((nodes) => Object.keys(nodes).length > 0)),
  /** How far past the highest value in use a new leader's sequences start. */
  sequenceGap: z._default(whole(0, 1_000_000_000), 1000),
  connectTimeout: z._default(number(0.1, 3600), 3),
  statementTimeout: z._default(number(0.1, 86_400), 30),
  /** Seconds that a failover waits for apply workers to finish what they had received. */
  drainTimeout: z._default(number(0.1, 86_400), 10),
  hooks: z.optional(hooksSchema),
});

const HOOK = 'a program and its arguments as a list, such as [/usr/local/bin/move-address, --quiet]';

/** What to write, by the path with node and table names as `*`; also the keys that exist there. */
export const EXPECTED: Readonly<Record<string, string>> = {
  cluster: 'a name of 1 to 63 characters',
  tables: 'a list of at least one table, such as [public.products]',
  'tables.*': 'a table name such as products, public.orders or app.*',
  nodes: 'at least one node: its name, and below it url: postgres://user@host:5432/database',
  'nodes.*':
    'a node named with a letter, then letters, digits or _ (all lower-case, at most 30), holding url: postgres://…',
  'nodes.*.url': 'a URL such as postgres://user:${PASSWORD}@host:5432/database',
  'nodes.*.replicationUrl': 'a URL, or URLs by the name of the node that connects',
  'nodes.*.priority': 'a whole number from 0 to 1000',
  sequenceGap: 'a whole number from 0 to 1000000000',
  connectTimeout: 'seconds from 0.1 to 3600',
  statementTimeout: 'seconds from 0.1 to 86400',
  drainTimeout: 'seconds from 0.1 to 86400',
  hooks: 'programs by beforePromote, afterPromote or onRollback',
  'hooks.beforePromote': HOOK,
  'hooks.afterPromote': HOOK,
  'hooks.onRollback': HOOK,
  'hooks.beforePromote.*': HOOK,
  'hooks.afterPromote.*': HOOK,
  'hooks.onRollback.*': HOOK,
  'hooks.timeout': 'seconds from 0.1 to 3600',
};

export type FileConfig = z.infer<typeof configSchema>;

export interface NodeConfig {
  readonly name: string;
  readonly url: string;
  readonly replicationUrl?: string | Readonly<Record<string, string>>;
  readonly priority: number;
}

/** Programs that run around a leader change: each a program and its arguments; no shell reads them. */
export interface HooksConfig {
  readonly beforePromote?: readonly string[];
  readonly afterPromote?: readonly string[];
  readonly onRollback?: readonly string[];
  /** A program that runs for longer is ended, with all that it started. */
  readonly timeoutMs: number;
}

export interface ClusterConfig {
  readonly cluster: string;
  /** The name is a default (URLs from the environment alone): nodes that carry another one are no mistake. */
  readonly clusterAssumed?: boolean;
  readonly tables: readonly string[];
  /** In the order of the file. */
  readonly nodes: readonly NodeConfig[];
  readonly sequenceGap: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly hooks?: HooksConfig;
  /** Where it was read from: a path, `sandbox`, or `environment`. */
  readonly source: string;
  /** What the operator should know about the configuration itself, such as a file that others can read. */
  readonly warnings?: readonly string[];
}

/** How node `from` reaches node `to` (the connection of a subscription). */
export function replicationUrl(to: NodeConfig, from: string): string {
  if (typeof to.replicationUrl === 'string') return to.replicationUrl;
  return to.replicationUrl?.[from] ?? to.url;
}
