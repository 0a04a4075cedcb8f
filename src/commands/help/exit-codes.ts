import { BaseCommand } from '../../cli/base-command.js';
import { EXIT_CODES, type ExitCodeMeaning } from '../../cli/exit-codes.js';
import { renderExitCodes } from '../../ui/exit-codes.js';

export default class HelpExitCodes extends BaseCommand<typeof HelpExitCodes> {
  static override summary = 'Explain the exit codes.';
  static override examples = ['<%= config.bin %> <%= command.id %>'];

  async run(): Promise<{ exitCodes: readonly ExitCodeMeaning[] }> {
    return Promise.resolve(this.show({ exitCodes: EXIT_CODES }, renderExitCodes));
  }
}
