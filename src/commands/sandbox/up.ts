import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { stateDir } from '../../config/paths.js';
import { openJournal } from '../../plan/journal.js';
import { sandboxDirectory } from '../../sandbox/account.js';
import { type UpResult, upSandbox } from '../../sandbox/up.js';
import { formatDuration } from '../../ui/format.js';
import { renderUp } from '../../ui/sandbox.js';

export default class SandboxUp extends BaseCommand<typeof SandboxUp> {
  static override summary = 'Start a real PostgreSQL cluster on this machine.';
  static override description = [
    'Servers of their own (data directory, port, log), on 127.0.0.1 only, from programs that npm ships; one leader and its replicas. It becomes what commands without a configuration talk to.',
    '',
    'The everyday role is no superuser (on 15 it is: only a superuser may create subscriptions there). Passwords are random; sandbox env prints them.',
    '',
    "A small TCP proxy stands in front of every link between nodes and of every node's clients, so that isolate can cut them. It costs 0.03 to 0.1 ms a round trip and makes bulk transfers about a third slower; --no-proxy does without.",
  ].join('\n');
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --nodes 3 --products 10000',
    '<%= config.bin %> <%= command.id %> --pg 15,16,17,18',
    '<%= config.bin %> <%= command.id %> --no-cluster --no-proxy --dir /tmp/sandbox',
  ];
  static override flags = {
    nodes: Flags.integer({ summary: 'How many servers.', default: 4, min: 1, max: 26 }),
    pg: Flags.string({
      summary: 'Major versions (15 to 18), dealt out in turn. Default 18; others are fetched once with npm.',
      helpValue: 'MAJOR,…',
    }),
    'pg-bin': Flags.string({
      summary: 'Directory of postgres, initdb and pg_ctl, used for their major; may be given more than once.',
      helpValue: 'DIR',
      multiple: true,
      multipleNonGreedy: true,
    }),
    dir: Flags.string({
      summary: 'Where to keep it; must be new or empty.',
      helpValue: 'DIR',
      env: 'REPCTL_SANDBOX_DIR',
    }),
    'base-port': Flags.integer({
      summary: 'First port to try; ports in use are passed over.',
      min: 1024,
      max: 65_000,
    }),
    cluster: Flags.boolean({
      summary: 'Build the cluster; --no-cluster leaves the servers bare.',
      default: true,
      allowNo: true,
    }),
    proxy: Flags.boolean({ summary: 'Stand a proxy in front of every link.', default: true, allowNo: true }),
    products: Flags.integer({ summary: 'Seeded products to begin with.', default: 0, min: 0 }),
    twins: Flags.boolean({ summary: 'Copies of one data directory, as restored backups are.' }),
  };

  async run(): Promise<UpResult> {
    const { flags } = this;
    const { c } = this.errStyle();
    const result = await upSandbox({
      directory: await sandboxDirectory(flags.dir),
      nodes: flags.nodes,
      pgBin: flags['pg-bin'] ?? [],
      proxy: flags.proxy,
      twins: flags.twins,
      withCluster: flags.cluster,
      products: flags.products,
      journal: openJournal(stateDir(), 'shop'),
      signal: this.interruptible(),
      notice: (text) => {
        this.say(text);
      },
      onPhase: (phase, ms) => {
        this.say(c.dim(`  ${phase.padEnd(9)} ${formatDuration(ms)}`));
      },
      ...(flags.pg === undefined ? {} : { pg: flags.pg.split(',').map((major) => major.trim()) }),
      ...(flags['base-port'] === undefined ? {} : { basePort: flags['base-port'] }),
    });
    return this.show(result, renderUp);
  }
}
