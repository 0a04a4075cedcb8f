import { Args, Command, loadHelpClass } from '@oclif/core';
import { unknownCommand } from '../../cli/not-found.js';

// Not a BaseCommand: it prints oclif's help, which has no JSON form.
export default class Help extends Command {
  static override summary = 'Show help for repctl, a topic or a command; see also help exit-codes.';
  static override examples = [
    '<%= config.bin %> help',
    '<%= config.bin %> help status',
    '<%= config.bin %> help exit-codes',
  ];
  static override args = { command: Args.string({ description: 'Topic or command.' }) };
  // A command may be several words: help sandbox up.
  static override strict = false;

  async run(): Promise<void> {
    const { argv } = await this.parse(Help);
    const words = argv as string[];
    const id = words.join(':');
    if (id !== '' && !this.config.findCommand(id) && !this.config.findTopic(id))
      throw unknownCommand(this.config, words);
    const Class = await loadHelpClass(this.config);
    await new Class(this.config, this.config.pjson.oclif.helpOptions).showHelp(words);
  }
}
