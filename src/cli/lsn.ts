import { RepctlError } from '../errors.js';
import { type Lsn, lsnToNumber, numberToLsn } from '../postgres/lsn.js';

/** An LSN from the command line. Throws RepctlError `usage` (exit 2). */
export function parseLsn(text: string, flag: string): Lsn {
  try {
    return numberToLsn(lsnToNumber(text.trim()));
  } catch {
    throw new RepctlError(
      'usage',
      `${flag} takes a position such as 0/14C0378, not ${JSON.stringify(text)}.`,
    );
  }
}
