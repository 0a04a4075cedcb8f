import { BaseCommand } from '../../cli/base-command.js';
import { type ScenarioSummary, describeScenarios } from '../../drill/list.js';
import { renderScenarios } from '../../ui/drill.js';

export default class DrillList extends BaseCommand<typeof DrillList> {
  static override summary = 'Show the failure experiments that there are.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];

  run(): Promise<{ scenarios: readonly ScenarioSummary[] }> {
    const scenarios = describeScenarios();
    return Promise.resolve(
      this.show({ scenarios }, (result, style) => renderScenarios(result.scenarios, style)),
    );
  }
}
