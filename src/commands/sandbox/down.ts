import { BaseCommand } from '../../cli/base-command.js';
import { sandboxDir } from '../../cli/sandbox-flags.js';
import { downCurrent } from '../../sandbox/up.js';

export default class SandboxDown extends BaseCommand<typeof SandboxDown> {
  static override summary = 'Stop the sandbox and remove everything it made.';
  static override description =
    'Servers and proxy are killed, and the directory goes with all data in it. Nothing to do is no error.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];
  static override flags = { dir: sandboxDir };

  async run(): Promise<{ removed: string | null }> {
    const removed = (await downCurrent(this.flags.dir)) ?? null;
    return this.show({ removed }, () =>
      removed === null ? 'No sandbox is up.' : `The sandbox in ${removed} is stopped and removed.`,
    );
  }
}
