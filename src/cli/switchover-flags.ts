/** What `switchover` and `promote` share: flags, and the request made of them. */
import { Flags } from '@oclif/core';
import type { SwitchoverRequest } from '../operations/switchover-request.js';
import { parseDuration } from './duration.js';

export const switchoverFlags = {
  'drain-timeout': Flags.string({
    summary: 'How long to wait for sessions that hold locks, and for replicas.',
    helpValue: 'DURATION',
  }),
  'terminate-blockers': Flags.boolean({
    summary: 'End sessions that still hold locks then, instead of rolling back.',
  }),
  without: Flags.string({
    summary: 'Leave this replica out; rewire it later. May be given several times.',
    helpValue: 'NODE',
    multiple: true,
  }),
};

interface Given {
  readonly 'drain-timeout'?: string | undefined;
  readonly 'terminate-blockers': boolean;
  readonly without?: readonly string[] | undefined;
}

export const switchoverRequest = (target: string | undefined, flags: Given): SwitchoverRequest => ({
  target,
  without: flags.without ?? [],
  terminateBlockers: flags['terminate-blockers'],
  ...(flags['drain-timeout'] === undefined
    ? {}
    : { drainTimeoutMs: parseDuration(flags['drain-timeout'], '--drain-timeout') }),
});
