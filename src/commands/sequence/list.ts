import { BaseCommand } from '../../cli/base-command.js';
import { observe } from '../../cluster/observe.js';
import { type SequenceList, observeSequences, sequenceList } from '../../replication/sequence-view.js';
import { requireAnswers } from '../../replication/views/answers.js';
import { renderSequences } from '../../ui/sequence.js';

export default class SequenceListCommand extends BaseCommand<typeof SequenceListCommand> {
  static override summary = 'Show sequences on every node: last value and the highest value in use.';
  static override description =
    'Replication leaves sequences alone. A promotion sets those of the new leader past the highest value in use; sequence sync keeps them near meanwhile.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];

  async run(): Promise<SequenceList> {
    const fleet = this.fleet(this.cluster());
    const snapshot = await observe(fleet);
    requireAnswers(snapshot);
    return this.show(sequenceList(snapshot, await observeSequences(fleet, snapshot)), renderSequences);
  }
}
