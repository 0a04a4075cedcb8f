/** Where drills take place, in two kinds: a sandbox of their own (sandbox-place.ts), a cluster of the user's (cluster-place.ts). */
import type { TableName } from '../cluster/model.js';
import type { ClusterConfig } from '../config/schema.js';
import { RepctlError } from '../errors.js';
import type { Sandbox } from '../sandbox/sandbox.js';
import type { Children, Ran } from './children.js';
import type { Scenario } from './scenario.js';

/** A place that drills can be given, one after the other. */
export interface Place {
  /** Takes it for one drill. Throws RepctlError (exit 6) while another one has it; nothing was started then. */
  take(run: string): Promise<Taken>;
}

/** A place that a drill has to itself. */
export interface Taken {
  /** The scenario with the servers that there are, and their names, the leader's first. */
  fit(scenario: Scenario): { readonly scenario: Scenario; readonly nodes: readonly string[] };
  /** The files of the run that concern it are below `record`. */
  settle(record: string): Promise<Quarters>;
  /** Throws RepctlError `drill-failed` and what servers answer; whatever was made is for `leave`. */
  open(request: GroundRequest): Promise<Ground>;
  /**
   * Takes away what the drill made and lets the next one in. Without `kept` nothing is left. Throws `drill-left-over`
   * (exit 7) where something could not be taken away.
   */
  leave(children: Children | undefined, kept: boolean): Promise<void>;
}

/** How the drill's own processes and its operator find the cluster. */
export interface Quarters {
  /** What takes these processes along when the drill is killed; a command on the user's own cluster rather goes on to its end. */
  readonly children: Children;
  /** Whether Ctrl-C stops a command that runs, or waits for its end. */
  readonly stops: boolean;
  /** Where repctl keeps its state. */
  readonly home: string;
  /** Where the nodes are written down. */
  readonly configFile: string;
  /** A file of variables for the shell of an operator who mends it; null where nothing is to be mended. */
  readonly operate: string | null;
}

export interface GroundRequest {
  readonly scenario: Scenario;
  readonly quarters: Quarters;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export interface Ground {
  /** What can be broken; null: servers that are not ours to break. */
  readonly sandbox: Sandbox | null;
  /** For clients, whose products are in `table`. */
  readonly config: ClusterConfig;
  readonly table: TableName;
  /** Past the proxy, by node. */
  readonly direct: Readonly<Record<string, string>>;
  /** Who leads at first. */
  readonly leader: string;
  /** Of PostgreSQL, by node. */
  readonly versions: Readonly<Record<string, string>>;
  /** Bytes that servers have sent each other so far, by sender; null where nobody counts them. */
  traffic(): Promise<Readonly<Record<string, number>> | null>;
}

/** Throws `drill-failed` for a command that did not end well. */
export function succeeded(ran: Ran, what: string): void {
  if (ran.code === 0) return;
  throw new RepctlError(
    'drill-failed',
    `repctl ${what} ended with exit status ${String(ran.code)}: ${ran.stderr.trim()}`,
    {
      exit: 1,
    },
  );
}
