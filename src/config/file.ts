/** repctl.yaml: text → checked data, with errors that name line, key and what to write instead. */
import { type Document, LineCounter, isMap, isScalar, parseDocument, visit } from 'yaml';
import { RepctlError } from '../errors.js';
import { nearest } from './nearest.js';
import { redact } from './redact.js';
import type { Env } from './resolve.js';
import { EXPECTED, type FileConfig, configSchema } from './schema.js';
import { interpolate } from './variables.js';

export interface ParsedFile {
  readonly data: FileConfig;
  /** The keys at the top that the file has. */
  readonly given: readonly string[];
  /** `file:line: nodes.n1.url`, for errors about a value. */
  readonly at: (node: string, key: string, from?: string) => string;
}

type Path = readonly (string | number)[];

/** Throws RepctlError (exit 2): `config-invalid`, `variable-unset`. */
export function parseConfigFile(text: string, file: string, env: Env): ParsedFile {
  const counter = new LineCounter();
  const document = parseDocument(text.replace(/^\uFEFF/u, ''), { lineCounter: counter, prettyErrors: false });
  const lines = text.split(/\r?\n/u);
  const problem = document.errors[0];
  if (problem) {
    const { line, col } = counter.linePos(problem.pos[0]);
    throw syntaxError(problem, file, line, col, lines[line - 1] ?? '');
  }
  const lineOf = (path: Path): number => lineAt(document, counter, path);
  const place = (path: Path): string => `${file}:${String(lineOf(path))}: ${path.join('.')}`;

  visit(document, {
    Scalar(_key, node, parents) {
      if (typeof node.value !== 'string') return;
      const { line } = counter.linePos(node.range?.[0] ?? 0);
      const keys = parents.flatMap((parent) =>
        'key' in parent && isScalar(parent.key) ? [String(parent.key.value)] : [],
      );
      node.value = interpolate(node.value, env, `${file}:${String(line)}: ${keys.join('.')}`);
    },
  });

  const raw: unknown = document.toJS();
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw)) {
    throw new RepctlError('config-invalid', `${file}: this is no configuration of repctl.`, {
      hint: 'It needs cluster: NAME and nodes:; repctl init writes one.',
      details: { file },
    });
  }
  const result = configSchema.safeParse(raw);
  if (!result.success) {
    const found = result.error.issues.flatMap((issue) => explain(issue as Issue, raw, place));
    const [first] = found;
    throw new RepctlError('config-invalid', found.map((each) => each.message).join('\n  '), {
      ...(first?.hint === undefined ? {} : { hint: first.hint }),
      details: { file, issues: found.map((each) => each.message) },
    });
  }
  return {
    data: result.data,
    given: Object.keys(raw),
    at: (node, key, from) => place(['nodes', node, key, ...(from === undefined ? [] : [from])]),
  };
}

function syntaxError(
  problem: { code: string; message: string },
  file: string,
  line: number,
  column: number,
  source: string,
): RepctlError {
  const duplicate = problem.code === 'DUPLICATE_KEY';
  const key = source.trim().split(':')[0] ?? '';
  return new RepctlError(
    'config-invalid',
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

interface Issue {
  readonly code: string;
  readonly path: (string | number)[];
  readonly keys?: string[];
}

interface Explained {
  readonly message: string;
  readonly hint?: string;
}

/** The pattern of a path in EXPECTED: names of nodes and positions in lists are `*`. */
function patternOf(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' || (index === 1 && path[0] === 'nodes') ? '*' : part))
    .slice(0, 3)
    .join('.');
}

function explain(issue: Issue, raw: object, place: (path: Path) => string): Explained[] {
  if (issue.code === 'unrecognized_keys') {
    const prefix = issue.path.length === 0 ? '' : `${patternOf(issue.path)}.`;
    const known = Object.keys(EXPECTED)
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
  const expected = EXPECTED[patternOf(issue.path)] ?? 'something else';
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
