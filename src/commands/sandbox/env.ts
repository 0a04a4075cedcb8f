import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { sandboxDir } from '../../cli/sandbox-flags.js';
import { environment } from '../../sandbox/actions.js';
import { requireSandbox } from '../../sandbox/current.js';

export default class SandboxEnv extends BaseCommand<typeof SandboxEnv> {
  static override summary = 'Print the URLs of the nodes as shell variables, passwords included.';
  static override description =
    'For other programs: eval "$(repctl sandbox env)". The one place where passwords of the sandbox are shown.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    'eval "$(<%= config.bin %> <%= command.id %> --superuser)" && psql "$REPCTL_URL_N1"',
  ];
  static override flags = {
    superuser: Flags.boolean({ summary: 'URLs of the superuser, past the proxy.' }),
    direct: Flags.boolean({ summary: 'URLs past the proxy.' }),
    dir: sandboxDir,
  };

  async run(): Promise<Record<string, string>> {
    const variables = environment(await requireSandbox(this.flags.dir), this.flags);
    // Not through show(): that would hide the passwords, which are what is asked for here.
    if (!this.jsonEnabled())
      for (const [name, url] of Object.entries(variables)) process.stdout.write(`export ${name}='${url}'\n`);
    return variables;
  }

  override logJson(json: unknown): void {
    process.stdout.write(`${JSON.stringify(json, null, 2)}\n`);
  }
}
