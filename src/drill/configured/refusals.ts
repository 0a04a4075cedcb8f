/** Why no drill begins on the user's own cluster, and what one that was killed has left there. Pure. */
import { describeHolder } from '../../cluster/lock-sql.js';
import { EXIT, RepctlError } from '../../errors.js';
import { problemsOf } from '../problems.js';
import type { Scenario } from '../scenario.js';
import type { ClusterLook, NodeLook } from './look.js';
import { DRILL_TABLE, type Mark, markOf } from './table.js';

const UNTOUCHED = 'Nothing was changed.';
const TABLE = `${DRILL_TABLE.schema}.${DRILL_TABLE.name}`;

const refusal = (
  code: string,
  message: string,
  hint: string,
  details: Record<string, unknown> = {},
  changed = UNTOUCHED,
): RepctlError =>
  new RepctlError(code, message, { exit: EXIT.refused, hint: `${hint}\n${changed}`, details });

const titleOf = ({ name, variant }: Scenario): string => (variant === null ? name : `${name}/${variant}`);

/** Scenarios that break something. Throws `drill-not-safe` (exit 6). */
export function requireSafe(scenarios: readonly Scenario[]): void {
  const broken = scenarios.filter((one) => !one.safe).map(titleOf);
  if (broken.length === 0) return;
  throw refusal(
    'drill-not-safe',
    `${broken.join(', ')}: not marked safe: true, so not for a cluster that is in use.`,
    `In a sandbox of its own: repctl drill run ${broken.join(' ')}\nFor this cluster: repctl drill run planned-switchover --cluster`,
    { scenarios: broken },
  );
}

/** What a drill that was killed has left; undefined: nothing. `foreign` is what is there and not a drill's. */
export interface Leftover {
  readonly mark: Mark;
  readonly nodes: readonly string[];
  /** Whether the table stands on every node, as it does before it is replicated and until it no longer is. */
  readonly everywhere: boolean;
}

export function leftoverIn({ nodes, snapshot }: ClusterLook): Leftover | undefined {
  const there = nodes.filter((node) => node.there);
  const mark = there.flatMap((node) => markOf(node.comment) ?? [])[0];
  if (mark === undefined || there.some(isForeign)) return undefined;
  return {
    mark,
    nodes: there.map(({ node }) => node),
    everywhere: nodes.length === snapshot.nodes.length && nodes.every((node) => node.table),
  };
}

const isForeign = (node: NodeLook): boolean =>
  node.there && (markOf(node.comment) === undefined || node.strange > 0);

/** What keeps a drill away before it may even clean up: `drill-running`, `drill-table-exists`, `drill-no-right` (exit 6). */
export function requireFree({ nodes, holder }: ClusterLook): void {
  if (holder !== undefined) throw drillRunning(holder);
  const foreign = nodes.filter(isForeign).map(({ node }) => node);
  if (foreign.length > 0)
    throw refusal(
      'drill-table-exists',
      `Schema ${DRILL_TABLE.schema} is there on ${foreign.join(', ')}, and no drill of repctl has made what is in it.`,
      `Drills need that name. See what it is: repctl sql "select * from pg_class where relnamespace = '${DRILL_TABLE.schema}'::regnamespace"; rename it, or drop it on every node (a table in it that is replicated: repctl publication drop ${TABLE}).`,
      { nodes: foreign },
    );
  const barred = nodes.filter((node) => !node.may).map(({ node }) => node);
  if (barred.length > 0)
    throw refusal(
      'drill-no-right',
      `The role may not create a schema on ${barred.join(', ')}.`,
      'As the owner of the database, on each of them: grant create on database NAME to ROLE',
      { nodes: barred },
    );
}

export const drillRunning = (holder: Parameters<typeof describeHolder>[0]): RepctlError =>
  refusal(
    'drill-running',
    `Another drill is at it on this cluster: ${describeHolder(holder)}.`,
    'Wait for its end.',
    { node: holder.node, operator: holder.operator, host: holder.host, since: holder.since },
  );

/** What a drill needs of the cluster: `drill-unhealthy`, `drill-does-not-fit` (exit 6). `changed`: what was, until now. */
export function requireFit(
  { snapshot, analysis }: ClusterLook,
  scenarios: readonly Scenario[],
  changed = UNTOUCHED,
): { readonly leader: string } {
  const [first] = analysis.findings;
  if (analysis.state !== 'healthy' || analysis.leader === null)
    throw refusal(
      'drill-unhealthy',
      `The cluster is ${analysis.state}: a drill begins with one that is well.${first === undefined ? '' : ` First of what is wrong: ${first.node === undefined ? '' : `${first.node}: `}${first.message}`}`,
      'repctl status says what to type.',
      { state: analysis.state },
      changed,
    );
  for (const scenario of scenarios) {
    const cluster = { ...scenario.cluster, nodes: snapshot.nodes.length };
    const [problem] = problemsOf({ ...scenario, cluster });
    if (problem !== undefined)
      throw refusal(
        'drill-does-not-fit',
        `${titleOf(scenario)} does not fit a cluster of ${String(snapshot.nodes.length)}: ${problem.path.join('.')}: ${problem.message}`,
        'repctl drill list shows the others.',
        { scenario: titleOf(scenario) },
        changed,
      );
  }
  return { leader: analysis.leader };
}
