import { Args, Flags } from '@oclif/core';
import { toRepctlError } from '../cli/failure.js';
import { RoutedCommand, readFlags } from '../cli/routed-command.js';
import { EXIT, type ExitCode } from '../errors.js';
import type { Session } from '../postgres/session.js';
import { read } from '../routing/read.js';
import { type SqlAnswer, runRead, runWrite } from '../routing/sql.js';
import { type Routing, write } from '../routing/write.js';
import { type SqlFailure, type SqlReport, renderSql } from '../ui/sql.js';

export default class Sql extends RoutedCommand<typeof Sql> {
  static override summary = 'Run SQL on the right node: reads on a replica, writes on the leader.';
  static override description =
    'Without --write the server itself refuses whatever writes. Several statements are one transaction unless they say otherwise.';
  static override examples = [
    `<%= config.bin %> <%= command.id %> 'select count(*) from products'`,
    `<%= config.bin %> <%= command.id %> --write "update products set currency = 'EUR'"`,
    `<%= config.bin %> <%= command.id %> --all-nodes 'select count(*), max(id) from products'`,
  ];

  static override args = { sql: Args.string({ required: true, description: 'One or more statements.' }) };

  static override flags = {
    ...readFlags,
    write: Flags.boolean({ char: 'w', summary: 'It writes: send it to the leader (or to --node).' }),
    'all-nodes': Flags.boolean({ char: 'a', summary: 'On every node.', exclusive: ['node'] }),
  };

  async run(): Promise<SqlReport> {
    const routing = this.routing(this.cluster(), this.flags.session, this.flags.write ? 'write' : 'read');
    const nodes = await this.answers(routing, this.args.sql);
    // Some nodes may have been written to, and the others not.
    if (this.failedWith !== undefined)
      this.exitWith(
        this.flags.write && nodes.some((answer) => !('error' in answer)) ? EXIT.incomplete : this.failedWith,
      );
    return this.show({ nodes }, renderSql);
  }

  private async answers(routing: Routing, sql: string): Promise<(SqlAnswer | SqlFailure)[]> {
    const { level, node } = this.flags;
    const run = async (session: Session): Promise<SqlAnswer> =>
      this.flags.write ? (await runWrite(session, sql)).value : runRead(session, sql);
    if (this.flags['all-nodes']) {
      const names = routing.fleet.config.nodes.map((each) => each.name);
      return Promise.all(
        names.map(async (name) => this.attempt(name, async () => run(await routing.fleet.session(name)))),
      );
    }
    if (!this.flags.write)
      return [(await read(routing, { level, node }, (session) => runRead(session, sql))).value];
    if (node !== undefined) return [await run(await routing.fleet.session(node))];
    return [
      (
        await write(
          routing,
          ({ session }) => runWrite(session, sql),
          () => false,
          READ_BACK,
        )
      ).value,
    ];
  }

  /** The exit status of the node that failed first. */
  private failedWith: ExitCode | undefined;

  private async attempt(node: string, body: () => Promise<SqlAnswer>): Promise<SqlAnswer | SqlFailure> {
    try {
      return await body();
    } catch (error) {
      const { code, message, exit } = toRepctlError(error);
      this.failedWith ??= exit;
      return { node, error: { code, message } };
    }
  }
}

const READ_BACK = 'Look whether it happened before you send it again.';
