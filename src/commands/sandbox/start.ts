import { BaseCommand } from '../../cli/base-command.js';
import { someOrAllNodes, sandboxDir } from '../../cli/sandbox-flags.js';
import { type ActionResult, actOn } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { renderAction } from '../../ui/sandbox.js';

export default class SandboxStart extends BaseCommand<typeof SandboxStart> {
  static override summary =
    'Start nodes that are stopped or were killed; and the proxy, if it is not running.';
  static override description = 'Returns when they accept connections. A frozen node is woken.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --json',
  ];
  static override args = someOrAllNodes;
  static override flags = { dir: sandboxDir };

  async run(): Promise<ActionResult> {
    const sandbox = await requireSandbox(this.flags.dir);
    const names = this.args.node ?? sandbox.nodes.map((node) => node.name);
    return this.show(await actOn(sandbox, names, 'start'), renderAction);
  }
}
