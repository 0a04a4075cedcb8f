/** The flags of `fence`. */
import { Flags } from '@oclif/core';
import type { ClusterConfig } from '../config/schema.js';
import { parseDuration } from './duration.js';

export const fenceFlags = {
  'drain-timeout': Flags.string({
    summary: 'Longest wait for writers in flight; default: drainTimeout of the configuration.',
    helpValue: 'DURATION',
  }),
  'terminate-blockers': Flags.boolean({
    summary: 'End the sessions that still hold locks when the wait is over.',
  }),
};

/** Milliseconds. */
export const fenceTimeoutMs = (
  flags: { readonly 'drain-timeout'?: string | undefined },
  config: ClusterConfig,
): number =>
  flags['drain-timeout'] === undefined
    ? config.drainTimeoutMs
    : parseDuration(flags['drain-timeout'], '--drain-timeout');
