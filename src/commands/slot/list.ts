import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { observe } from '../../cluster/observe.js';
import { requireAnswers } from '../../replication/views/answers.js';
import { type SlotList, slotList } from '../../replication/views/slot.js';
import { renderSlots } from '../../ui/slot.js';

export default class SlotListCommand extends BaseCommand<typeof SlotListCommand> {
  static override summary = 'Show the replication slots of every node and how much WAL each holds, for whom.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --node n2 --json',
  ];
  static override flags = {
    node: Flags.string({ summary: 'Only this node.', helpValue: 'NODE' }),
  };

  async run(): Promise<SlotList> {
    const { node } = this.flags;
    const snapshot = await observe(this.fleet(this.cluster()));
    requireAnswers(snapshot, node);
    return this.show(slotList(snapshot, node), renderSlots);
  }
}
