import { BaseCommand } from '../../cli/base-command.js';
import { someOrAllNodes, sandboxDir } from '../../cli/sandbox-flags.js';
import { type ActionResult, actOn } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { renderAction } from '../../ui/sandbox.js';

export default class SandboxResume extends BaseCommand<typeof SandboxResume> {
  static override summary = 'Wake frozen nodes: SIGCONT of every process.';
  static override description = 'The opposite of pause.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n3',
    '<%= config.bin %> <%= command.id %> n3 --json',
  ];
  static override args = someOrAllNodes;
  static override flags = { dir: sandboxDir };

  async run(): Promise<ActionResult> {
    const sandbox = await requireSandbox(this.flags.dir);
    const names = this.args.node ?? sandbox.nodes.map((node) => node.name);
    return this.show(await actOn(sandbox, names, 'resume'), renderAction);
  }
}
