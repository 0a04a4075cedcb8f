import { Args, Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { observe } from '../../cluster/observe.js';
import { planSlotDrop } from '../../operations/parts/slot.js';
import { runParts } from '../../operations/parts/run.js';
import { orRefuse } from '../../operations/run.js';
import { findSlot } from '../../replication/views/slot.js';

export default class SlotDrop extends ChangeCommand<typeof SlotDrop> {
  static override summary = 'Drop a replication slot that nobody needs.';
  static override description =
    'A slot that is read, or that a node of the cluster needs, is refused by name.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> repctl_n9 --node n1',
    '<%= config.bin %> <%= command.id %> old_consumer --node n1 --foreign --yes',
  ];
  static override args = { slot: Args.string({ description: 'Name of the slot.', required: true }) };
  static override flags = {
    node: Flags.string({ summary: 'The node that has it, where several do.', helpValue: 'NODE' }),
    foreign: Flags.boolean({ summary: 'Drop one that repctl did not make.' }),
  };

  async run(): Promise<ChangeResult> {
    const fleet = this.fleet(this.cluster());
    const { slot } = this.args;
    const { node, foreign } = this.flags;
    return this.carryOut({
      fleet,
      plan: async () => {
        const snapshot = await observe(fleet);
        return orRefuse(planSlotDrop(snapshot, findSlot(snapshot, slot, node), foreign));
      },
      question: ({ steps }) => `Drop slot ${slot} on ${steps[0]?.node ?? ''}?`,
      next: 'repctl slot list',
      run: runParts,
    });
  }
}
