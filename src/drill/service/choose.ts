/** What the clients of a drill go through, if not the routing of their own. */
import type { Children } from '../children.js';
import type { Ground } from '../ground.js';
import type { WorkloadPart } from '../scenario.js';
import type { DrillWatch } from '../watch.js';
import { type Services, awaitServices, servicesAt, startServices } from './start.js';

export interface ServiceRequest {
  readonly workload: WorkloadPart;
  /** The user's own, if any. */
  readonly http: readonly string[] | undefined;
  readonly ground: Ground;
  readonly children: Children;
  readonly configFile: string;
  readonly watch: DrillWatch;
  readonly signal: AbortSignal;
}

/** Waits for the user's own, starts those of the scenario; null: there are none. Throws as these do. */
export async function servicesOf(request: ServiceRequest): Promise<Services | null> {
  const { workload, http, ground, children, configFile, watch, signal } = request;
  if (http !== undefined) {
    const tell = (text: string): void => {
      watch.tell(text);
    };
    await awaitServices(http, configFile, tell, signal);
    return servicesAt(http);
  }
  if (workload.service === undefined) return null;
  const { processes, session } = workload.service;
  watch.say('starting web services');
  const { pool, timeout } = workload;
  const { config, table } = ground;
  return startServices(children, processes, { config, table, pool, timeout, session });
}
