import { BaseCommand } from '../../cli/base-command.js';
import { someOrAllNodes, sandboxDir } from '../../cli/sandbox-flags.js';
import { type ActionResult, actOn } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { renderAction } from '../../ui/sandbox.js';

export default class SandboxStop extends BaseCommand<typeof SandboxStop> {
  static override summary = 'Shut nodes down properly.';
  static override description = 'Sessions are ended and a checkpoint is written, as by pg_ctl stop -m fast.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n2',
    '<%= config.bin %> <%= command.id %> n2 --json',
  ];
  static override args = someOrAllNodes;
  static override flags = { dir: sandboxDir };

  async run(): Promise<ActionResult> {
    const sandbox = await requireSandbox(this.flags.dir);
    const names = this.args.node ?? sandbox.nodes.map((node) => node.name);
    return this.show(await actOn(sandbox, names, 'stop'), renderAction);
  }
}
