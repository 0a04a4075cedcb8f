import { BaseCommand } from '../../cli/base-command.js';
import { someNodes, sandboxDir } from '../../cli/sandbox-flags.js';
import { type ActionResult, actOn } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { renderAction } from '../../ui/sandbox.js';

export default class SandboxPause extends BaseCommand<typeof SandboxPause> {
  static override summary = 'Freeze nodes: SIGSTOP of every process.';
  static override description =
    'A frozen node keeps its connections open and answers nothing, as a machine that hangs.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> n3 --json',
  ];
  static override args = someNodes;
  static override flags = { dir: sandboxDir };

  async run(): Promise<ActionResult> {
    const sandbox = await requireSandbox(this.flags.dir);
    const names = this.args.node;
    return this.show(await actOn(sandbox, names, 'pause'), renderAction);
  }
}
