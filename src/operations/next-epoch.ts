/**
 * Which number the next epoch gets, so that no two nodes ever lead under one. Pure; reserveEpoch() writes it down.
 *
 * A leader that dies before the first replica has heard of it takes the knowledge of its epoch with it. So its number
 * is noted down on a majority before it is promoted; any two majorities share a node, and whoever is promoted next
 * takes a higher number than all that were noted down for somebody else. That they were not used after all cannot be
 * told for certain: a promotion may be on its way to a server whose operator is gone already.
 */
import { majorityOf, unheardPromises } from '../cluster/epochs.js';
import { reservedHidden } from '../cluster/findings/membership.js';
import type { Finding, ReservedEpoch } from '../cluster/model.js';
import type { Reservation } from './actions.js';
import type { Facts } from './facts.js';

const reserved = ({ reachable }: Facts): readonly ReservedEpoch[] =>
  reachable.flatMap((node) => node.reserved ?? []);

/** The number under which `target` may be promoted when `epoch` is the newest that is known. */
export const nextEpoch = (facts: Facts, epoch: number, target: string): number =>
  reserved(facts)
    .filter(({ node }) => node !== target)
    .reduce((highest, one) => Math.max(highest, one.epoch), epoch) + 1;

/**
 * By whom it is to be known before `leader` is promoted under that number: a majority, or as many as answer. `leader` is
 * one of them: while its promotion is on its way to it, its own table is all that tells.
 */
export function reservation({ config, reachable }: Facts, epoch: number, leader: string): Reservation {
  const on = reachable.filter(({ metadata }) => metadata !== 'missing').map(({ name }) => name);
  return { epoch, node: leader, on, needed: Math.min(on.length, majorityOf(config.nodes.length)) };
}

/** Who may lead an epoch above `epoch` of which nobody that answers has heard, for the plan of a promotion. */
export const unheardNotes = (facts: Facts, epoch: number): string[] =>
  unheardPromises(facts.snapshot, epoch).map(
    ({ epoch: number, node }) =>
      `${node} was about to lead epoch ${String(number)} when it was last heard of; that number is left out. If it did, writes that it acknowledged are on ${node} alone: when it is back, repctl fence ${node}, then repctl rewire ${node}`,
  );

/** Without them a number could be given twice. */
export const reservationsHidden = ({ reachable }: Facts): Finding[] =>
  reachable
    .filter(({ reserved: seen }) => seen === null)
    .map((node) => ({ ...reservedHidden(node), severity: 'error' }));
