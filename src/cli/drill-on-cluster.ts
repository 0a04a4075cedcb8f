/** `drill run --cluster`: what is asked before a cluster that is in use is drilled. */
import type { Fleet } from '../cluster/fleet.js';
import type { ClusterConfig } from '../config/schema.js';
import { clusterPlace } from '../drill/configured/place.js';
import { requireSafe } from '../drill/configured/refusals.js';
import { survey } from '../drill/configured/survey.js';
import type { Place } from '../drill/ground.js';
import type { Scenario } from '../drill/scenario.js';
import { renderDrillPlan } from '../ui/drill-question.js';
import { confirm } from './confirm.js';

/** After a second Ctrl-C. */
export const LEFT_BEHIND =
  'What the drill made may be left: the next repctl drill run --cluster removes it. repctl status';

export interface Asking {
  readonly cluster: () => ClusterConfig;
  readonly fleet: (config: ClusterConfig) => Fleet;
  readonly say: (text: string) => void;
  readonly yes: boolean;
  readonly json: boolean;
  readonly repeat: number;
  /** Of the terminal, characters. */
  readonly width: number;
}

/** Asks first. Throws what the survey and the question throw; nothing was changed then. */
export async function askedPlace(scenarios: readonly Scenario[], asking: Asking): Promise<Place> {
  const { yes, json, repeat } = asking;
  requireSafe(scenarios);
  const config = asking.cluster();
  const found = await survey(asking.fleet(config), scenarios);
  const { lines, question } = renderDrillPlan({ survey: found, scenarios, repeat }, asking.width);
  asking.say(`${lines.join('\n')}\n`);
  await confirm({ question, yes, json, instead: 'Add --yes to go ahead.' });
  return clusterPlace(config, scenarios);
}

/** What leads to the same cluster again. */
export const optionsOf = (file: string | undefined): string =>
  ` --cluster${file === undefined ? '' : ` -c ${file}`}`;
