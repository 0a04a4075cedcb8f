/** One runner per kind of action. */
import type { Runners } from '../../plan/execute.js';
import type { Action } from '../actions.js';
import type { RunnerContext } from './context.js';
import { attachEqual, recopy } from './copy.js';
import { attach, dropTombstone, promote } from './leadership.js';
import { reconcile } from './reconcile.js';
import { found, prepare, publish } from './setup.js';
import { awaitCopy, quiesce, resume, standby, subscribe, verify } from './stream.js';
import { dropSlots, unpublish, unsubscribe } from './teardown.js';

export type { RunnerContext } from './context.js';

export const runnersFor = (context: RunnerContext): Runners<Action> => ({
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
  promote: (action) => promote(context, action),
  attach: (action) => attach(context, action),
  recopy: (action) => recopy(context, action),
  'drop-tombstone': (action) => dropTombstone(context, action),
  unsubscribe: (action) => unsubscribe(context, action),
  'drop-slots': (action) => dropSlots(context, action),
  unpublish: (action) => unpublish(context, action),
});
