import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { sandboxDir } from '../../cli/sandbox-flags.js';
import { redact } from '../../config/redact.js';
import { EXIT, RepctlError } from '../../errors.js';
import { requireSandbox } from '../../sandbox/current.js';
import { followFile, lastLines } from '../../sandbox/follow.js';
import { nodeOf } from '../../sandbox/sandbox.js';

export default class SandboxLogs extends BaseCommand<typeof SandboxLogs> {
  static override summary = 'Show the server log of a node.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> n2',
    '<%= config.bin %> <%= command.id %> n2 --follow --lines 0',
  ];
  static override args = { node: Args.string({ description: 'Name of the node.', required: true }) };
  static override flags = {
    lines: Flags.integer({ char: 'n', summary: 'How many of the last lines.', default: 50, min: 0 }),
    follow: Flags.boolean({ char: 'f', summary: 'Go on with what is added, until Ctrl-C.' }),
    dir: sandboxDir,
  };

  async run(): Promise<{ node: string; file: string; lines: string[] }> {
    if (this.flags.follow && this.jsonEnabled())
      throw new RepctlError('usage', '--follow and --json do not go together.');
    const sandbox = await requireSandbox(this.flags.dir);
    const node = this.args.node;
    const file = nodeOf(sandbox, node).logFile;
    const { lines, size } = await lastLines(file, this.flags.lines);
    this.show({ node, file, lines }, (result) => result.lines.join('\n'));
    if (this.flags.follow) {
      await followFile(file, size, (text) => process.stdout.write(redact(text)), this.interruptible());
      this.exitWith(EXIT.interrupted);
    }
    return { node, file, lines };
  }
}
