/** The report's file. */
import { writePrivateFile } from '../../config/write.js';
import { EXIT, RepctlError, messageOf } from '../../errors.js';

/** Whole or not at all, 0600. Throws RepctlError `report-unwritable` (exit 2). */
export async function writeReport(file: string, text: string): Promise<void> {
  try {
    await writePrivateFile(file, text);
  } catch (cause) {
    throw new RepctlError('report-unwritable', `${file} cannot be written: ${messageOf(cause)}`, {
      exit: EXIT.usage,
      hint: '--out FILE names another place, --out - is standard output.',
      details: { file },
      cause,
    });
  }
}
