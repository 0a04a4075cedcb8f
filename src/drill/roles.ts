/** Who is meant by `leader`, `former`, `replica-2`: resolved against who leads at that moment. Pure. */

export interface Roles {
  readonly leader: string;
  /** The last one that led before. */
  readonly former: string | null;
  /** All nodes as the seed shuffled them, the first leader last: replicas are counted in this order. */
  readonly order: readonly string[];
}

/** Of a sandbox. */
export const nodeNames = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `n${String(index + 1)}`);

/** The nodes shuffled by `next` (numbers in [0, 1)); the first one, which leads at first, comes last. */
export function shuffledOrder([leader = '', ...others]: readonly string[], next: () => number): string[] {
  const rest = [...others];
  for (let i = rest.length - 1; i > 0; i -= 1) {
    const j = Math.floor(next() * (i + 1));
    [rest[i], rest[j]] = [rest[j] ?? '', rest[i] ?? ''];
  }
  return [...rest, leader];
}

export const replicasOf = ({ leader, order }: Roles): string[] => order.filter((name) => name !== leader);

/** The names that a reference means; none where there is no such node now. */
export function resolve(refs: string | readonly string[], roles: Roles): string[] {
  const all = typeof refs === 'string' ? [refs] : refs;
  return [...new Set(all.flatMap((ref) => resolveOne(ref, roles)))];
}

function resolveOne(ref: string, roles: Roles): readonly string[] {
  const replicas = replicasOf(roles);
  if (ref === 'leader') return [roles.leader];
  if (ref === 'former') return roles.former === null ? [] : [roles.former];
  if (ref === 'replicas') return replicas;
  if (ref === 'all') return roles.order;
  const numbered = /^replica(?:-(\d))?$/u.exec(ref);
  if (numbered) return replicas.slice(Number(numbered[1] ?? 1) - 1, Number(numbered[1] ?? 1));
  return roles.order.includes(ref) ? [ref] : [];
}
