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
    return this.carryOut({
      fleet,
      plan: async () => {
        const snapshot = await observe(fleet);
        requireAnswers(snapshot);
        const { moves, missing } = planSequenceSync(snapshot, await observeSequences(fleet, snapshot));
        return orRefuse(planSequences(moves, missing));
      },
      question: ({ steps }) => `Set sequences on ${steps.map((step) => step.node).join(', ')}?`,
      next: 'repctl sequence list',
      run: runParts,
    });
  }
}
