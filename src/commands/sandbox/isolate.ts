import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { sandboxDir } from '../../cli/sandbox-flags.js';
import { type CutRoute, cutRoutes } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { isolate } from '../../sandbox/sandbox.js';
import { renderCuts } from '../../ui/sandbox.js';

export default class SandboxIsolate extends BaseCommand<typeof SandboxIsolate> {
  static override summary = 'Cut a node off from the others, in both directions.';
  static override description = [
    'As a real partition, the cut is silent: connections stay open and nothing passes, new ones get no answer, and after heal everything goes on where it stood, unless a timeout came first. With --reset connections are reset at once.',
    '',
    'Clients still reach the node, unless --clients or --only-clients says otherwise.',
  ].join('\n');
  static override examples = [
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --from n3',
    '<%= config.bin %> <%= command.id %> n1 --clients --reset',
  ];
  static override args = { node: Args.string({ description: 'Name of the node.', required: true }) };
  static override flags = {
    from: Flags.string({
      summary: 'Cut only the link with this node; may be given more than once.',
      helpValue: 'NODE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    clients: Flags.boolean({ summary: 'Cut its clients off, too.' }),
    'only-clients': Flags.boolean({
      summary: 'Cut only its clients off.',
      exclusive: ['clients', 'from'],
    }),
    reset: Flags.boolean({ summary: 'Reset connections instead of falling silent.' }),
    dir: sandboxDir,
  };

  async run(): Promise<{ cut: CutRoute[] }> {
    const { from, clients, reset, 'only-clients': only } = this.flags;
    const routes = await isolate(await requireSandbox(this.flags.dir), this.args.node, {
      reset,
      ...(from ? { from } : {}),
      ...(only ? { clients: 'only' as const } : clients ? { clients: 'with' as const } : {}),
    });
    return this.show({ cut: cutRoutes(routes) }, ({ cut }, style) => renderCuts(cut, style));
  }
}
