/** `doctor`: is every node fit to be part of the cluster, now and as its next leader? Changes nothing. */
import { isPooledHost } from '../../config/connection.js';
import { resolveTables } from '../../replication/publications.js';
import { analyse } from '../analyse.js';
import { isReachable } from '../epochs.js';
import type { Fleet } from '../fleet.js';
import type { Finding, NodeSnapshot, Severity } from '../model.js';
import { observe } from '../observe.js';
import { SEVERITIES } from '../severity.js';
import { round } from '../words.js';
import { doctorFindings } from './findings.js';
import { type Trials, tryNode } from './trials.js';

export interface DoctorNode {
  readonly name: string;
  readonly reachable: boolean;
  readonly version: string | null;
  readonly roundTripMs: number | null;
  readonly clockOffsetMs: number | null;
  readonly slotsUsed: number | null;
  readonly slotsMax: number | null;
  readonly sendersUsed: number | null;
  readonly sendersMax: number | null;
  /** Its gravest finding; null when there is none. */
  readonly worst: Severity | null;
}

export interface DoctorReport {
  readonly cluster: string;
  readonly takenAt: string;
  /** Nothing above a warning was found. */
  readonly ok: boolean;
  readonly nodes: readonly DoctorNode[];
  readonly findings: readonly Finding[];
}

/** Asks and tries every node at once; a node that does not answer is a finding, not an error. */
export async function examine(fleet: Fleet): Promise<DoctorReport> {
  const { config } = fleet;
  const snapshot = await observe(fleet);
  // A pooler hands each statement to another session: what is tried there proves nothing.
  const pooled = config.nodes.filter((node) => isPooledHost(node.url)).map((node) => node.name);
  const trials = await Promise.all(
    snapshot.nodes
      .filter(isReachable)
      .filter((node) => !pooled.includes(node.name))
      .map((node): Promise<Trials> =>
        tryNode(fleet, node, (catalog) => resolveTables(config.tables, catalog).tables),
      ),
  );
  const findings = doctorFindings({ snapshot, config, trials, pooled, analysis: analyse(snapshot, config) });
  return {
    cluster: config.cluster,
    takenAt: snapshot.takenAt,
    ok: !findings.some((it) => it.severity === 'critical' || it.severity === 'error'),
    nodes: snapshot.nodes.map((node) => nodeRow(node, findings)),
    findings,
  };
}

function nodeRow(node: NodeSnapshot, findings: readonly Finding[]): DoctorNode {
  const mine = findings.filter((it) => it.node === node.name).map((it) => it.severity);
  const worst = SEVERITIES.find((severity) => mine.includes(severity)) ?? null;
  if (!node.reachable) {
    return {
      name: node.name,
      reachable: false,
      version: null,
      roundTripMs: null,
      clockOffsetMs: null,
      slotsUsed: null,
      slotsMax: null,
      sendersUsed: null,
      sendersMax: null,
      worst,
    };
  }
  return {
    name: node.name,
    reachable: true,
    version: node.version,
    roundTripMs: round(node.roundTripMs),
    clockOffsetMs: round(node.clockOffsetMs),
    slotsUsed: node.slots.length,
    slotsMax: Number(node.settings['max_replication_slots'] ?? 0),
    sendersUsed: node.senders.length,
    sendersMax: Number(node.settings['max_wal_senders'] ?? 0),
    worst,
  };
}
