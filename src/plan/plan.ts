/**
 * A plan is data: what an operation will do, in order, each step with its node, its reason and its SQL.
 * Operations make plans purely from a Snapshot and a request; one executor runs any of them.
 *
 * The property every plan is tested with: after any prefix of its steps, planning again on what is then
 * observed gives the rest. So there is no resume file: to resume is to observe and plan again.
 */
import type { Finding } from '../cluster/model.js';

/** `Action` is the operation's own union of step kinds; `kind` selects the runner. */
export interface Step<Action extends { readonly kind: string } = { readonly kind: string }> {
  /** Unique within the plan and the same when planned again: `attach:n3`. */
  readonly id: string;
  readonly node: string;
  /** What it does, as an operator would say it. */
  readonly title: string;
  readonly why: string;
  /** What would be sent, for --dry-run; values known only at run time are written <like this>. */
  readonly sql: readonly string[];
  /** Consecutive steps of one group run at the same time; each may finish or fail without the others. */
  readonly group?: string;
  readonly action: Action;
}

export interface Plan<Action extends { readonly kind: string } = { readonly kind: string }> {
  readonly operation: string;
  readonly title: string;
  /** What the operator should know before saying yes: method and why, cost, what is at risk. */
  readonly notes: readonly string[];
  /** The node to which the leadership goes on by a switchover, once these steps are done. */
  readonly then?: string | undefined;
  /** The figures behind the notes, for --json. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** The operator has said that it may go on with fewer than half of the nodes. */
  readonly acceptMinority?: boolean;
  readonly steps: readonly Step<Action>[];
}

/** Why an operation will not be done; nothing was changed. */
export interface Refusal {
  readonly operation: string;
  readonly findings: readonly Finding[];
}

export type Planned<Action extends { readonly kind: string } = { readonly kind: string }> =
  | { readonly kind: 'plan'; readonly plan: Plan<Action> }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export const planned = <Action extends { readonly kind: string }>(plan: Plan<Action>): Planned<Action> => ({
  kind: 'plan',
  plan,
});

export const refused = (operation: string, findings: readonly Finding[]): Planned<never> => ({
  kind: 'refused',
  refusal: { operation, findings },
});
