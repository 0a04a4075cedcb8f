import path from 'node:path';
import { Args, Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../cli/change-command.js';
import { fenceFlags, fenceTimeoutMs } from '../cli/fence-flags.js';
import { stateDir } from '../config/paths.js';
import { EXIT } from '../errors.js';
import { type Counted, countBefore } from '../operations/rejoin-count.js';
import { planRejoin } from '../operations/rejoin.js';
import { planReplay } from '../operations/replay.js';
import { previewOf } from '../operations/replay-preview.js';
import { makePlan, runPlan } from '../operations/run.js';
import { readStranded } from '../replication/stranded/file.js';
import { nextAfterRejoin, renderRejoined } from '../ui/rejoin.js';

export default class Rejoin extends ChangeCommand<typeof Rejoin> {
  static override summary = 'Bring a former leader back as a replica; what only it has is saved first.';
  static override description = `The node is fenced. Transactions that it committed and nobody else got ("stranded") go to
stranded-NODE-EPOCH.jsonl, synced to disk, before anything is dropped. Then only the rows that were changed on either
side since the fork are set right, and it follows the present leader.

--replay offers the stranded transactions to the present leader, row by row, in order: applied where the row there is
untouched since the fork, listed as conflicts where not (exit 5), never overwriting anything in silence. Run again, it
applies nothing twice. With --file it does only that, from a file that was saved earlier.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --dry-run',
    '<%= config.bin %> <%= command.id %> n1 --replay --yes --reason "rack 2 is back"',
    '<%= config.bin %> <%= command.id %> n1 --replay --file stranded-n1-1.jsonl --dry-run',
  ];
  static override args = {
    node: Args.string({ description: 'The former leader.', required: true }),
  };
  static override flags = {
    replay: Flags.boolean({ summary: 'Offer what was stranded to the present leader.' }),
    file: Flags.string({
      summary: 'Only replay this stranded file.',
      helpValue: 'FILE',
      dependsOn: ['replay'],
      exclusive: ['output'],
    }),
    output: Flags.string({
      summary: 'Directory for the stranded file; default: the state directory.',
      helpValue: 'DIR',
    }),
    ...fenceFlags,
  };

  async run(): Promise<ChangeResult> {
    const config = this.cluster();
    const { node } = this.args;
    const { file } = this.flags;
    const fleet = this.fleet(config);
    const result = await this.carryOut({
      fleet,
      plan: () => (file === undefined ? this.planOf(fleet) : this.replayOf(fleet, path.resolve(file))),
      run: (plan, options) => runPlan(plan, () => ({ kind: 'plan', plan }), options),
      question: file === undefined ? `Rejoin ${node} now?` : 'Replay now?',
      next: (steps) => nextAfterRejoin(node, steps),
      report: renderRejoined,
    });
    const replayed = result.steps.find(({ id }) => id.startsWith('replay-stranded:'));
    if (replayed && 'result' in replayed && Number(replayed.result?.['conflicts'] ?? 0) > 0)
      this.exitWith(EXIT.diverged);
    return result;
  }

  private planOf(fleet: ReturnType<Rejoin['fleet']>) {
    const { config } = fleet;
    const { node } = this.args;
    const { output, replay } = this.flags;
    const request = {
      node,
      directory: output === undefined ? path.join(stateDir(), 'stranded') : path.resolve(output),
      replay,
      fenceTimeoutMs: fenceTimeoutMs(this.flags, config),
      terminateBlockers: this.flags['terminate-blockers'],
    };
    // Decoding takes as long as saving it does; where nobody looks before, the end tells soon enough.
    let counted: Promise<Counted> | undefined = this.shown ? undefined : Promise.resolve({});
    return makePlan(fleet, async (snapshot) => {
      counted ??= countBefore(fleet, snapshot, node);
      const { counts, problem } = await counted;
      return planRejoin(snapshot, config, { ...request, counted: counts, uncounted: problem });
    });
  }

  private async replayOf(fleet: ReturnType<Rejoin['fleet']>, file: string) {
    const stranded = await readStranded(file);
    const { header, counts } = stranded;
    const preview = await previewOf(fleet, file, stranded);
    const request = { node: this.args.node, file, header, counts, preview };
    return makePlan(fleet, (snapshot) => planReplay(snapshot, fleet.config, request));
  }
}
