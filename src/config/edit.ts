/** Changes one node of a configuration file and leaves the rest, comments included, as it is. */
import { chmodSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { RepctlError, messageOf } from '../errors.js';

/** Adds (or replaces) node `name`. Throws `config-unwritable` (exit 2). */
export const setNodeInFile = (file: string, name: string, node: Readonly<Record<string, unknown>>): void => {
  edit(file, (document) => {
    document.setIn(['nodes', name], document.createNode(node));
  });
};

/** Removes node `name`; does nothing when it is not there. Throws `config-unwritable` (exit 2). */
export const removeNodeFromFile = (file: string, name: string): void => {
  edit(file, (document) => {
    document.deleteIn(['nodes', name]);
  });
};

function edit(file: string, change: (document: ReturnType<typeof parseDocument>) => void): void {
  try {
    const document = parseDocument(readFileSync(file, 'utf8'));
    change(document);
    // Written beside and renamed: a full disk or a crash leaves the old file whole.
    const temporary = `${file}.${String(process.pid)}.tmp`;
    writeFileSync(temporary, document.toString(), { mode: 0o600, flag: 'wx' });
    chmodSync(temporary, statSync(file).mode & 0o777);
    renameSync(temporary, file);
  } catch (error) {
    throw new RepctlError('config-unwritable', `${file} cannot be changed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
