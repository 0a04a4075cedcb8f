import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { observe } from '../../cluster/observe.js';
import { type PublicationView, publicationView } from '../../replication/views/publication.js';
import { renderPublication } from '../../ui/publication.js';

export default class PublicationShow extends BaseCommand<typeof PublicationShow> {
  static override summary = 'Show one publication over all nodes: its tables, their fences, what differs.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> other_publication --json',
  ];
  static override args = {
    name: Args.string({ description: 'Publication.', default: 'repctl' }),
  };

  async run(): Promise<PublicationView> {
    const snapshot = await observe(this.fleet(this.cluster()));
    return this.show(publicationView(snapshot, this.args.name), renderPublication);
  }
}
