import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { sandboxDir } from '../../cli/sandbox-flags.js';
import { type CutRoute, cutRoutes } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { heal } from '../../sandbox/sandbox.js';
import { renderCuts } from '../../ui/sandbox.js';

export default class SandboxHeal extends BaseCommand<typeof SandboxHeal> {
  static override summary = 'Open links that isolate cut: all of them, or those of one node.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --from n3',
  ];
  static override args = { node: Args.string({ description: 'Name of the node; default: all.' }) };
  static override flags = {
    from: Flags.string({
      summary: 'Open only the link with this node; may be given more than once.',
      helpValue: 'NODE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    dir: sandboxDir,
  };

  async run(): Promise<{ cut: CutRoute[] }> {
    const { from } = this.flags;
    const routes = await heal(await requireSandbox(this.flags.dir), this.args.node, from ? { from } : {});
    return this.show({ cut: cutRoutes(routes) }, ({ cut }, style) => renderCuts(cut, style));
  }
}
