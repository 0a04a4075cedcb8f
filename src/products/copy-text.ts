/** COPY's text format: tab between fields, newline after a row, `\N` for null. */

const SPECIAL = /[\\\n\r\t]/;

function escapeField(text: string): string {
  if (!SPECIAL.test(text)) return text;
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t');
}

/** One row, its newline included. */
export function copyRow(fields: readonly (string | null)[]): string {
  let line = '';
  for (const [index, field] of fields.entries()) {
    if (index > 0) line += '\t';
    line += field === null ? '\\N' : escapeField(field);
  }
  return `${line}\n`;
}
