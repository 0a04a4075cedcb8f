/** Why a part is left as it is. */
import type { Finding } from '../../cluster/model.js';

export const finding = (code: string, node: string, message: string, fix?: string): Finding => ({
  code,
  severity: 'error',
  node,
  message,
  ...(fix === undefined ? {} : { fix }),
});

export const foreignFinding = (kind: string, node: string, name: string): Finding =>
  finding(
    'foreign',
    node,
    `${kind} ${name} on ${node} was not made by repctl.`,
    'Add --foreign if you are sure that nobody else needs it as it is.',
  );
