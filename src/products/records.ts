/**
 * Bytes → records of a CSV or NDJSON file, a chunk at a time: memory is bounded by the longest record allowed.
 *
 * Not csv-parse: for 100,000 products of seven columns it took 4.1 s where this takes 0.2 s (null told from "" needs
 * its `cast`, a call for each field), its line numbers name where a record ends instead of where it begins, and after
 * a record beyond `max_record_size` it left out the good one that followed.
 */
import { RepctlError } from '../errors.js';

/** Longer than any product can be; what is longer is no record but a mistake (or a file without newlines). */
export const MAX_RECORD_LENGTH = 4 * 1024 * 1024;

export type RawRecord =
  | { readonly line: number; readonly fields: readonly (string | null)[] }
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly problem: string };

export type InputFormat = 'csv' | 'ndjson';

/** Bytes as text; a byte order mark is dropped. Throws `encoding-invalid` (exit 2) for anything but UTF-8. */
async function* decode(input: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let seen = 0;
  const invalid = (): RepctlError =>
    new RepctlError('encoding-invalid', `The input is not UTF-8 (near byte ${String(seen)}).`, {
      hint: 'Convert it first, for example: iconv -f latin1 -t utf-8 FILE',
    });
  for await (const chunk of input) {
    let text: string;
    try {
      text = decoder.decode(chunk, { stream: true });
    } catch {
      throw invalid();
    }
    seen += chunk.length;
    if (text !== '') yield text;
  }
  try {
    decoder.decode();
  } catch {
    throw invalid();
  }
}

/** Takes one record off `text` at `start`; undefined when it is not complete yet. */
type Taker = (text: string, start: number, atEnd: boolean) => Taken | undefined;

interface Taken {
  readonly end: number;
  readonly value: { fields: (string | null)[] } | { text: string } | { problem: string };
}

const COMMA = 44;
const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 34;

const skipLine = (text: string, from: number): number => {
  const newline = text.indexOf('\n', from);
  return newline === -1 ? text.length : newline + 1;
};

/** RFC 4180. An empty field is null, "" is the empty text, as PostgreSQL's COPY has it. */
const takeCsv: Taker = (text, start, atEnd) => {
  const fields: (string | null)[] = [];
  const bad = (problem: string, from: number): Taken | undefined => {
    const end = skipLine(text, from);
    return end === text.length && !atEnd && text.charCodeAt(end - 1) !== NEWLINE
      ? undefined
      : { end, value: { problem } };
  };
  let at = start;
  for (;;) {
    if (text.charCodeAt(at) === QUOTE) {
      let close = text.indexOf('"', at + 1);
      let doubled = false;
      while (close !== -1 && text.charCodeAt(close + 1) === QUOTE) {
        doubled = true;
        close = text.indexOf('"', close + 2);
      }
      if (close === -1) return atEnd ? bad('a quote is not closed', start) : undefined;
      if (close + 1 === text.length && !atEnd) return undefined;
      const content = text.slice(at + 1, close);
      fields.push(doubled ? content.replaceAll('""', '"') : content);
      at = close + 1;
    } else {
      let end = at;
      let code = text.charCodeAt(end);
      while (code !== COMMA && code !== NEWLINE && code !== QUOTE && end < text.length)
        code = text.charCodeAt(++end);
      if (code === QUOTE) return bad('a quote stands inside a field that does not begin with one', end);
      if (end === text.length && !atEnd) return undefined;
      const cut =
        (code === NEWLINE || end === text.length) && text.charCodeAt(end - 1) === RETURN && end > at;
      const content = text.slice(at, cut ? end - 1 : end);
      fields.push(content === '' ? null : content);
      at = cut ? end - 1 : end;
    }
    const code = text.charCodeAt(at);
    if (code === COMMA) {
      at += 1;
      continue;
    }
    if (at >= text.length) return { end: at, value: { fields } };
    if (code === NEWLINE) return { end: at + 1, value: { fields } };
    if (code === RETURN) {
      if (at + 1 === text.length) return atEnd ? { end: at + 1, value: { fields } } : undefined;
      if (text.charCodeAt(at + 1) === NEWLINE) return { end: at + 2, value: { fields } };
    }
    return bad('text follows a closing quote', at);
  }
};

const takeLine: Taker = (text, start, atEnd) => {
  const newline = text.indexOf('\n', start);
  if (newline === -1 && !atEnd) return undefined;
  const end = newline === -1 ? text.length : newline;
  return { end: newline === -1 ? end : end + 1, value: { text: text.slice(start, end).trim() } };
};

function countLines(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf('\n', from); at !== -1 && at < to; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

const isBlank = (value: Taken['value']): boolean =>
  'fields' in value
    ? value.fields.length === 1 && value.fields[0] === null
    : 'text' in value && value.text === '';

/**
 * The records of the input, several at a time, each with the line it begins on (from 1). Blank lines are left
 * out. A record that cannot be read comes as its problem; the reading goes on at the next line.
 */
export async function* readRecords(
  input: AsyncIterable<Uint8Array>,
  format: InputFormat,
  maxLength = MAX_RECORD_LENGTH,
): AsyncGenerator<RawRecord[]> {
  const take = format === 'csv' ? takeCsv : takeLine;
  let rest = '';
  let line = 1;
  let skipping = false;
  const drain = (atEnd: boolean): RawRecord[] => {
    const records: RawRecord[] = [];
    let at = 0;
    while (at < rest.length) {
      if (skipping) {
        at = skipLine(rest, at);
        if (rest.charCodeAt(at - 1) !== NEWLINE) break;
        skipping = false;
        line += 1;
        continue;
      }
      const taken = take(rest, at, atEnd);
      if (taken === undefined) break;
      if (taken.end - at > maxLength) records.push({ line, problem: tooLong(maxLength) });
      else if (!isBlank(taken.value)) records.push({ line, ...taken.value });
      line += countLines(rest, at, taken.end);
      at = taken.end;
    }
    rest = rest.slice(at);
    if (!skipping && rest.length > maxLength) {
      records.push({ line, problem: tooLong(maxLength) });
      skipping = true;
      const newline = rest.indexOf('\n');
      if (newline === -1) rest = '';
      else return [...records, ...drain(atEnd)];
    }
    return records;
  };
  for await (const text of decode(input)) {
    rest += text;
    const records = drain(false);
    if (records.length > 0) yield records;
  }
  const records = drain(true);
  if (records.length > 0) yield records;
}

const tooLong = (maxLength: number): string =>
  `the record is longer than ${String(maxLength)} characters (is a newline or a closing quote missing?)`;
