import { BaseCommand } from '../../cli/base-command.js';

export default class SandboxStatus extends BaseCommand<typeof SandboxStatus> {
  static override summary = 'Show the processes of the sandbox.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<{ up: boolean }> {
    return Promise.resolve(this.show({ up: false }, () => 'No sandbox is up.'));
  }
}
