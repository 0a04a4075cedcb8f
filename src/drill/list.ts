/** The shipped scenarios, as a list shows them. */
import { groupBy } from './judge/group.js';
import { loadScenarios, shippedFiles } from './load.js';

export interface ScenarioSummary {
  readonly name: string;
  readonly title: string;
  readonly about: string | null;
  readonly safe: boolean;
  readonly nodes: number;
  readonly steps: number;
  readonly variants: readonly string[];
  readonly file: string;
}

/** One entry a scenario, whatever variants it has. */
export const describeScenarios = (files: readonly string[] = shippedFiles()): ScenarioSummary[] =>
  [...groupBy(loadScenarios(files), (one) => one.name).values()].flatMap((all) => {
    const [first] = all;
    if (first === undefined) return [];
    const { name, title, about, safe, cluster, steps, random, file } = first;
    const variants = all.flatMap((one) => (one.variant === null ? [] : [one.variant]));
    return [{ name, title, about, safe, nodes: cluster.nodes, steps: steps.length + random, variants, file }];
  });
