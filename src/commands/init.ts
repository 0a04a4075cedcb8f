import { existsSync } from 'node:fs';
import path from 'node:path';
import { Flags } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import {
  type Draft,
  type DraftNode,
  assertComplete,
  draftText,
  fileExists,
  parseNodeFlag,
} from '../config/draft.js';
import { describeServer } from '../postgres/describe.js';
import { parseConfig } from '../config/load.js';
import { redact } from '../config/redact.js';
import { writePrivateFile } from '../config/write.js';
import { type InitResult, renderInit } from '../ui/init.js';

export default class Init extends BaseCommand<typeof Init> {
  static override summary = 'Write repctl.yaml: ask for cluster, nodes and tables, and try each connection.';
  static override description =
    'Every question has a flag; without a terminal nothing is asked. A password is never a flag: refer to a variable, or use PGPASSWORD or ~/.pgpass.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    "<%= config.bin %> <%= command.id %> --cluster shop --node 'n1=postgres://shop_admin:${PW}@db1/shop' --node 'n2=postgres://repctl:${PW}@db2/shop' --table products",
  ];

  static override flags = {
    cluster: Flags.string({ summary: 'Name of the cluster.', helpValue: 'NAME' }),
    node: Flags.string({
      summary: 'A node; the first is the leader to be.',
      helpValue: 'NAME=URL',
      multiple: true,
    }),
    table: Flags.string({
      summary: 'A table to replicate (default public.products).',
      helpValue: 'TABLE',
      multiple: true,
    }),
    output: Flags.string({ char: 'o', summary: 'File to write.', helpValue: 'FILE', default: 'repctl.yaml' }),
    overwrite: Flags.boolean({ summary: 'Replace the file if it is there.' }),
    'skip-test': Flags.boolean({ summary: 'Do not try the connections.' }),
    yes: Flags.boolean({ char: 'y', summary: 'Ask nothing.' }),
  };

  async run(): Promise<InitResult> {
    const file = path.resolve(this.flags.output);
    const asks = !this.flags.yes && !this.jsonEnabled() && process.stdin.isTTY && process.stderr.isTTY;
    const given = {
      cluster: this.flags.cluster,
      nodes: (this.flags.node ?? []).map(parseNodeFlag),
      tables: this.flags.table,
    };
    if (!asks) assertComplete(given);
    if (existsSync(file) && !this.flags.overwrite && !(asks && (await this.replaces(file))))
      throw fileExists(file);
    const attempt = (node: DraftNode) => this.attempt(node);
    const draft: Draft = asks
      ? await (
          await import('../cli/init-questions.js')
        ).askDraft(given, attempt, (line) => {
          this.say(line);
        })
      : { cluster: given.cluster ?? '', nodes: given.nodes, tables: given.tables ?? ['public.products'] };
    const text = draftText(draft);
    // Read back before it is written: what it says must be what repctl will read.
    const { cluster, tables } = parseConfig(text, file);
    if (given.nodes.length > 0 && !this.flags['skip-test'])
      for (const line of await Promise.all(given.nodes.map(attempt))) this.say(`✓ ${line}`);
    await writePrivateFile(file, text);
    const nodes = draft.nodes.map(({ name, url }) => ({ name, url: redact(url) }));
    return this.show({ file, cluster, tables, nodes, next: 'repctl doctor' }, renderInit);
  }

  private async attempt(node: DraftNode): Promise<string> {
    const config = parseConfig(draftText({ cluster: 'init', nodes: [node], tables: ['*'] }), node.name);
    return describeServer(await this.fleet(config).session(node.name));
  }

  private async replaces(file: string): Promise<boolean> {
    const { confirmed } = await import('../cli/init-questions.js');
    return confirmed(`${file} is there already. Replace it?`);
  }
}
