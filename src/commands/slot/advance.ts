import { Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { observe } from '../../cluster/observe.js';
import { planSlotAdvance } from '../../operations/parts/slot.js';
import { runParts } from '../../operations/parts/run.js';
import { orRefuse } from '../../operations/run.js';
import { requireAnswers } from '../../replication/views/answers.js';

export default class SlotAdvance extends ChangeCommand<typeof SlotAdvance> {
  static override summary = 'Free the WAL that standby slots hold in vain.';
  static override description = `A replica's standby slots hold the WAL that the other nodes would need if it were promoted. Each is moved to what its node has on disk already, found by decoding: a node that crashes asks for nothing older. Run it now and then; nothing is lost by running it too often.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --yes',
    '<%= config.bin %> <%= command.id %> --node n3 --dry-run',
  ];
  static override flags = {
    node: Flags.string({ summary: 'Only the slots of this node.', helpValue: 'NODE' }),
  };

  async run(): Promise<ChangeResult> {
    const { node } = this.flags;
    const fleet = this.fleet(this.cluster());
    return this.carryOut({
      fleet,
      plan: async () => {
        const snapshot = await observe(fleet);
        requireAnswers(snapshot, node);
        return orRefuse(planSlotAdvance(snapshot, node).planned);
      },
      question: ({ steps }) => `Move ${String(steps.length)} standby slots?`,
      next: 'repctl slot list',
      run: runParts,
    });
  }
}
