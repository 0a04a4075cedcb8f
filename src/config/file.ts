/** repctl.yaml: text → checked data, with errors that name line, key and what to write instead. */
import { isScalar, visit } from 'yaml';
import { RepctlError } from '../errors.js';
import type { Env } from './resolve.js';
import { EXPECTED, type FileConfig, configSchema } from './schema.js';
import { interpolate } from './variables.js';
import { type Issue, type Path, explain, readYaml } from './yaml.js';

export interface ParsedFile {
  readonly data: FileConfig;
  /** The keys at the top that the file has. */
  readonly given: readonly string[];
  /** `file:line: nodes.n1.url`, for errors about a value. */
  readonly at: (node: string, key: string, from?: string) => string;
}

/** Throws RepctlError (exit 2): `config-invalid`, `variable-unset`. */
export function parseConfigFile(text: string, file: string, env: Env): ParsedFile {
  const { document, lineAt, place } = readYaml(text, file, 'config-invalid');

  visit(document, {
    Scalar(_key, node, parents) {
      if (typeof node.value !== 'string') return;
      const line = lineAt(node.range?.[0] ?? 0);
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
    const found = result.error.issues.flatMap((issue) =>
      explain(issue as Issue, raw, place, { words: EXPECTED, patternOf }),
    );
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

/** The pattern of a path in EXPECTED: names of nodes and positions in lists are `*`. */
function patternOf(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' || (index === 1 && path[0] === 'nodes') ? '*' : part))
    .slice(0, 3)
    .join('.');
}
