import { Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { parseDuration } from '../cli/duration.js';
import { repeat } from '../cli/repeat.js';
import { analyse, type Analysis } from '../cluster/analyse.js';
import { noteLeader } from '../cluster/last-seen.js';
import { observe } from '../cluster/observe.js';
import { stateDir } from '../config/paths.js';
import { EXIT, RepctlError } from '../errors.js';
import { styleFor } from '../cli/terminal.js';
import { renderStatus } from '../ui/status.js';

export default class Status extends BaseCommand<typeof Status> {
  static override summary = 'Show the topology, the state of every node and what is wrong.';
  static override description =
    'Exit status: 0 when the cluster is healthy, 4 otherwise. Every finding has a stable code and names the command to type next.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --watch --interval 1s',
    '<%= config.bin %> <%= command.id %> --json',
  ];

  static override flags = {
    watch: Flags.boolean({ char: 'w', summary: 'Draw it again and again until Ctrl-C.' }),
    interval: Flags.string({
      summary: 'Time between two looks with --watch.',
      helpValue: 'DURATION',
      default: '2s',
    }),
  };

  async run(): Promise<Analysis | undefined> {
    const config = this.cluster();
    const fleet = this.fleet(config);
    const look = async () => {
      const snapshot = await observe(fleet, { pending: true, holders: true });
      noteLeader(stateDir(), snapshot);
      return analyse(snapshot, config);
    };
    if (this.flags.watch) {
      if (this.jsonEnabled()) throw new RepctlError('usage', '--watch and --json do not go together.');
      const interval = parseDuration(this.flags.interval, '--interval');
      const style = () => styleFor(process.stdout, this.flags['no-color']);
      await repeat(process.stdout, interval, this.interruptible(''), async () =>
        renderStatus(await look(), style()),
      );
      this.exitWith(EXIT.interrupted);
      return undefined;
    }
    const analysis = await look();
    this.show(analysis, renderStatus);
    if (analysis.state !== 'healthy') this.exitWith(EXIT.unhealthy);
    return analysis;
  }
}
