/** Which routes a cut means. Pure. */
import type { ProxyRoute } from './model.js';

export interface Cut {
  readonly node: string;
  /** Only the links with these nodes; default: with every other node. */
  readonly from?: readonly string[];
  /** `with`: the node's clients too. `only`: them alone. Default: the links between nodes alone. */
  readonly clients?: 'with' | 'only';
}

/** The routes of a cut as `from>to`: both directions of each link. */
export function routesOf(routes: readonly ProxyRoute[], cut: Cut): string[] {
  const other = (name: string): boolean => cut.from === undefined || cut.from.includes(name);
  return routes
    .filter(({ from, to }) => {
      if (from === 'clients') return cut.clients !== undefined && to === cut.node;
      if (cut.clients === 'only') return false;
      return (from === cut.node && other(to)) || (to === cut.node && other(from));
    })
    .map(({ from, to }) => `${from}>${to}`);
}
