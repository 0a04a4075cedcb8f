/** One runner per kind of action. */
import type { Runners } from '../../plan/execute.js';
import type { Action } from '../actions.js';
import type { RunnerContext, SwitchoverContext } from './context.js';
import { attachEqual, recopy } from './copy.js';
import { quiesce } from './drain.js';
import { fenceNode, unfenceNode } from './fencing.js';
import { attach, dropTombstone, promote } from './leadership.js';
import { reconcile } from './reconcile.js';
import { fence } from './fence.js';
import { drain, handOver } from './switchover.js';
import { rejoin } from './rejoin.js';
import { replayStranded } from './replay.js';
import { found, prepare, publish } from './setup.js';
import { awaitCopy, resume, standby, subscribe } from './stream.js';
import { syncCommit, syncRecorded, syncSetting } from './sync.js';
import { saveStranded } from './stranded.js';
import { dropSlots, unpublish, unsubscribe } from './teardown.js';
import { verify } from './verify.js';

export type { RunnerContext } from './context.js';

/** `handover`: kept by the caller that must know how far a switchover came. */
export const runnersFor = (given: RunnerContext): Runners<Action> => runners({ handover: {}, ...given });

const runners = (context: SwitchoverContext): Runners<Action> => ({
  prepare: (action) => prepare(context, action),
  publish: (action) => publish(context, action),
  found: (action) => found(context, action),
  subscribe: (action) => subscribe(context, action),
  'attach-equal': (action) => attachEqual(context, action),
  reconcile: (action, run) => reconcile(context, action, run),
  'await-copy': (action, run) => awaitCopy(context, action, run),
  verify: (action, run) => verify(context, action, run),
  standby: (action) => standby(context, action),
  quiesce: (action) => quiesce(context, action),
  resume: (action) => resume(context, action),
  fence: (action, run) => fence(context, action, run),
  drain: (action, run) => drain(context, action, run),
  promote: (action, run) =>
    action.drained === true ? handOver(context, action) : promote(context, action, run),
  attach: (action) => attach(context, action),
  recopy: (action) => recopy(context, action),
  'drop-tombstone': (action) => dropTombstone(context, action),
  unsubscribe: (action) => unsubscribe(context, action),
  'drop-slots': (action) => dropSlots(context, action),
  unpublish: (action) => unpublish(context, action),
  'fence-node': (action, run) => fenceNode(context, action, run),
  'unfence-node': (action) => unfenceNode(context, action),
  'sync-commit': (action) => syncCommit(context, action),
  'sync-setting': (action) => syncSetting(context, action),
  'sync-record': (action) => syncRecorded(context, action),
  'save-stranded': (action, run) => saveStranded(context, action, run),
  rejoin: (action, run) => rejoin(context, action, run),
  'replay-stranded': (action, run) => replayStranded(context, action, run),
});
