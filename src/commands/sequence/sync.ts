import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { observe } from '../../cluster/observe.js';
import { planSequences } from '../../operations/parts/sequence.js';
import { runParts } from '../../operations/parts/run.js';
import { orRefuse } from '../../operations/run.js';
import { observeSequences, planSequenceSync } from '../../replication/sequence-view.js';
import { requireAnswers } from '../../replication/views/answers.js';

export default class SequenceSync extends ChangeCommand<typeof SequenceSync> {
  static override summary = "Bring the replicas' sequences to where the leader's are, never backwards.";
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --yes --json',
  ];

  async run(): Promise<ChangeResult> {
    const fleet = this.fleet(this.cluster());
    const snapshot = await observe(fleet);
    requireAnswers(snapshot);
    const sync = planSequenceSync(snapshot, await observeSequences(fleet, snapshot));
    const plan = orRefuse(planSequences(sync.moves, sync.missing));
    return this.carryOut(plan, {
      fleet,
      question: `Set ${String(sync.moves.length)} sequences on replicas?`,
      next: 'repctl sequence list',
      run: runParts(fleet, plan),
    });
  }
}
