import { BaseCommand } from '../cli/base-command.js';
import { type DoctorReport, examine } from '../cluster/doctor/examine.js';
import { EXIT } from '../errors.js';
import { renderDoctor } from '../ui/doctor.js';

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = 'Check every node before anything is touched.';
  static override description =
    'Versions, settings, free slots and senders, privileges (each tried and undone), the way from each node to each other one, tables, clocks, leftovers. Exit status: 0 when nothing above a warning was found, 4 otherwise.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --config production.yaml --json',
  ];

  async run(): Promise<DoctorReport> {
    const config = this.cluster();
    const report = await examine(this.fleet(config, 'repctl doctor'));
    this.show(report, renderDoctor);
    if (!report.ok) this.exitWith(EXIT.unhealthy);
    return report;
  }
}
