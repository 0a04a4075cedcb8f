import { BaseCommand } from '../../cli/base-command.js';
import { someNodes, sandboxDir } from '../../cli/sandbox-flags.js';
import { type ActionResult, actOn } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';
import { renderAction } from '../../ui/sandbox.js';

export default class SandboxKill extends BaseCommand<typeof SandboxKill> {
  static override summary = 'Kill nodes as a power cut would: SIGKILL of every process.';
  static override description =
    'Nothing is flushed and no connection is closed properly. start brings the node back through crash recovery.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n1',
    '<%= config.bin %> <%= command.id %> n1 --json',
  ];
  static override args = someNodes;
  static override flags = { dir: sandboxDir };

  async run(): Promise<ActionResult> {
    const sandbox = await requireSandbox(this.flags.dir);
    const names = this.args.node;
    return this.show(await actOn(sandbox, names, 'kill'), renderAction);
  }
}
