/** A YAML file: read, and what does not fit its schema said with file, line, key and what to write instead. */
import { type Document, LineCounter, isMap, isScalar, parseDocument } from 'yaml';
import { RepctlError } from '../errors.js';
import { nearest } from './nearest.js';
import { redact } from './redact.js';

export type Path = readonly (string | number)[];

export interface YamlFile {
  readonly document: Document.Parsed;
  /** The line, from 1, of an offset in the text. */
  readonly lineAt: (offset: number) => number;
  /** `file:line: nodes.n1.url` */
  readonly place: (path: Path) => string;
}

/** Throws RepctlError `code` (exit 2) for what is no YAML. */
export function readYaml(text: string, file: string, code: string): YamlFile {
  const counter = new LineCounter();
  const document = parseDocument(text.replace(/^\uFEFF/u, ''), { lineCounter: counter, prettyErrors: false });
  const problem = document.errors[0];
  if (problem) {
    const { line, col } = counter.linePos(problem.pos[0]);
    throw syntaxError(code, problem, file, line, col, text.split(/\r?\n/u)[line - 1] ?? '');
  }
  return {
    document,
    lineAt: (offset) => counter.linePos(offset).line,
    place: (path) => `${file}:${String(lineAt(document, counter, path))}: ${path.join('.')}`,
  };
}

function syntaxError(
  code: string,
  problem: { code: string; message: string },
  file: string,
  line: number,
  column: number,
  source: string,
): RepctlError {
  const duplicate = problem.code === 'DUPLICATE_KEY';
  const key = source.trim().split(':')[0] ?? '';
  return new RepctlError(
    code,
    [
      `${file}:${String(line)}:${String(column)}: ${duplicate ? `${key} is there twice.` : problem.message}`,
      `${String(line).padStart(4)} | ${redact(source)}`,
    ].join('\n'),
    {
      hint: duplicate
        ? 'Each name is used once: remove one of the two, or rename it.'
        : 'Indent with two spaces a level, never with tabs, and put keys of one level in one column.',
      details: { file, line, column },
    },
  );
}

/** The line of the value at `path`, or of the deepest part of it that exists. */
function lineAt(document: Document.Parsed, counter: LineCounter, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = document.getIn(path.slice(0, length - 1), true);
    const container = length === 1 ? document.contents : parent;
    if (isMap(container)) {
      const pair = container.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(path[length - 1]),
      );
      if (pair && isScalar(pair.key) && pair.key.range) return counter.linePos(pair.key.range[0]).line;
    }
    const node = document.getIn(path.slice(0, length), true);
    const range = (node as { range?: readonly number[] | null } | undefined)?.range;
    if (range?.[0] !== undefined) return counter.linePos(range[0]).line;
  }
  return 1;
}

export interface Issue {
  readonly code: string;
  readonly path: (string | number)[];
  readonly keys?: string[];
}

export interface Explained {
  readonly message: string;
  readonly hint?: string;
}

/** What a schema's keys are called in words, by the pattern of their path; also the keys that exist there. */
export interface Expectations {
  readonly words: Readonly<Record<string, string>>;
  readonly patternOf: (path: Path) => string;
}

/** An issue of zod as lines for a person. */
export function explain(
  issue: Issue,
  raw: object,
  place: (path: Path) => string,
  { words, patternOf }: Expectations,
): Explained[] {
  if (issue.code === 'unrecognized_keys') {
    const prefix = issue.path.length === 0 ? '' : `${patternOf(issue.path)}.`;
    const known = Object.keys(words)
      .filter((key) => key.startsWith(prefix) && !key.slice(prefix.length).includes('.'))
      .map((key) => key.slice(prefix.length))
      .filter((key) => key !== '*');
    return (issue.keys ?? []).map((key) => {
      const near = nearest(key, known);
      return {
        message: `${place([...issue.path, key])}: there is no such key.`,
        hint: near === undefined ? `Keys here: ${known.join(', ')}.` : `Did you mean ${near}?`,
      };
    });
  }
  const missing = valueAt(raw, issue.path) === undefined;
  const expected = words[patternOf(issue.path)] ?? 'something else';
  return [
    {
      message: `${place(issue.path)}: ${missing ? 'is missing' : 'has a value that does not fit'}; write ${expected}.`,
    },
  ];
}

function valueAt(raw: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined,
    raw,
  );
}
