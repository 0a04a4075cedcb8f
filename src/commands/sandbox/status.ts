import { BaseCommand } from '../../cli/base-command.js';
import { sandboxDir } from '../../cli/sandbox-flags.js';
import { type SandboxStatus as Status, describeSandbox } from '../../sandbox/actions.js';
import { findSandbox } from '../../sandbox/current.js';
import { renderSandboxStatus } from '../../ui/sandbox.js';

export default class SandboxStatus extends BaseCommand<typeof SandboxStatus> {
  static override summary = 'Show the processes of the sandbox, and which links are cut.';
  static override description = 'The processes only; repctl status shows the cluster that they form.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];
  static override flags = { dir: sandboxDir };

  async run(): Promise<Status | { up: false }> {
    const sandbox = await findSandbox(this.flags.dir);
    return this.show(sandbox ? await describeSandbox(sandbox) : { up: false as const }, renderSandboxStatus);
  }
}
