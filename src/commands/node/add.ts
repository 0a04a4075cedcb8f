import { Args, Flags } from '@oclif/core';
import { ChangeCommand, type ChangeResult } from '../../cli/change-command.js';
import { setNodeInFile } from '../../config/edit.js';
import { configFile, withNode } from '../../config/membership.js';
import { SCHEMA } from '../../cluster/names.js';
import { observe } from '../../cluster/observe.js';
import { factsOf } from '../../operations/facts.js';
import { unfit } from '../../operations/fitness.js';
import { planNodeAdd } from '../../operations/node-add.js';
import { preflight, unlessBlocked } from '../../operations/preflight.js';
import { nodesWithRows } from '../../operations/targets.js';

export default class NodeAdd extends ChangeCommand<typeof NodeAdd> {
  static override summary = 'Attach one more database as a replica and write it into the configuration.';
  static override description = `An empty database is copied. One that holds the rows already is proved equal by digest instead.
The password does not go on the command line: use \${VAR} in the URL, PGPASSWORD or .pgpass.`;
  static override examples = [
    `<%= config.bin %> <%= command.id %> n5 'postgres://app:\${N5_PASSWORD}@db5.example.net/shop'`,
    '<%= config.bin %> <%= command.id %> n5 postgres://app@db5.example.net/shop --dry-run',
  ];
  static override args = {
    name: Args.string({ description: 'Name of the node.', required: true }),
    url: Args.string({ description: 'How to reach it; default: what the configuration says.' }),
  };
  static override flags = {
    priority: Flags.integer({ summary: 'Higher is preferred as the next leader.', min: 0, max: 1000 }),
  };

  async run(): Promise<ChangeResult> {
    const base = this.cluster();
    const { name, url } = this.args;
    const { config, entry } = withNode(base, { name, url, priority: this.flags.priority });
    const file = entry === undefined ? undefined : configFile(base);
    const fleet = this.fleet(config);
    const { leader } = factsOf(await observe(fleet), config);
    const tables = (leader?.tables ?? []).filter((table) => table.schema !== SCHEMA);
    const prefilled = (await nodesWithRows(fleet, [name], tables)).includes(name);
    const nodes = config.nodes.map((node) => node.name);
    const findings = leader === undefined ? [] : await unfit(fleet, { leader: leader.name, nodes, tables });
    const inTheWay = await preflight(fleet, name);
    const result = await this.change({
      fleet,
      planner: (snapshot) =>
        unlessBlocked(planNodeAdd(snapshot, config, { name, prefilled, unfit: findings }), inTheWay),
      question: `Add ${name} to cluster ${config.cluster}?`,
      next: 'repctl status',
    });
    if (result.status !== 'planned' && file !== undefined && entry !== undefined)
      setNodeInFile(file, name, entry);
    return result;
  }
}
