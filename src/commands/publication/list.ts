import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { observe } from '../../cluster/observe.js';
import { requireAnswers } from '../../replication/views/answers.js';
import { type PublicationList, publicationList } from '../../replication/views/publication.js';
import { renderPublications } from '../../ui/publication.js';

export default class PublicationListCommand extends BaseCommand<typeof PublicationListCommand> {
  static override summary = 'Show the publications of every node, those that repctl did not make included.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --node n2 --json',
  ];
  static override flags = {
    node: Flags.string({ summary: 'Only this node.', helpValue: 'NODE' }),
  };

  async run(): Promise<PublicationList> {
    const { node } = this.flags;
    const snapshot = await observe(this.fleet(this.cluster()));
    requireAnswers(snapshot, node);
    return this.show(publicationList(snapshot, node), renderPublications);
  }
}
