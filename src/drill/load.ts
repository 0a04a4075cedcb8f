/** Scenarios found by name or path, read and checked. Errors name file, line, key and what to write instead. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearest } from '../config/nearest.js';
import { type Issue, type Path, type YamlFile, explain, readYaml } from '../config/yaml.js';
import { RepctlError, messageOf } from '../errors.js';
import {
  ACTIONS,
  type ActionKey,
  STEPS,
  type Scenario,
  type Step,
  clusterSchema,
  expectSchema,
  scenarioSchema,
  workloadSchema,
} from './scenario.js';
import { problemsOf } from './problems.js';
import { STEP_WORDS, WORDS } from './words.js';

/** The directory of repctl's own scenarios, wherever this module was bundled to. */
export function shippedDirectory(): string {
  let directory = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(directory, 'scenarios'))) {
    const above = path.dirname(directory);
    if (above === directory) break;
    directory = above;
  }
  return path.join(directory, 'scenarios');
}

/** The files of all shipped scenarios, by name. */
export const shippedFiles = (directory = shippedDirectory()): string[] =>
  readdirSync(directory)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => path.join(directory, file));

/**
 * The experiments of the scenarios with these names or in these files: one each, or one a variant (`name/variant`
 * names a single one). Throws RepctlError (exit 2): `unknown-scenario`, `scenario-unreadable`, `scenario-invalid`.
 */
export function loadScenarios(names: readonly string[]): Scenario[] {
  return names.flatMap((asked) => {
    const isFile = /\.ya?ml$/u.test(asked) || asked.startsWith('.') || path.isAbsolute(asked);
    const [name = '', variant] = isFile ? [asked] : asked.split('/');
    const all = parseScenario(...textOf(isFile ? name : fileNamed(name)));
    if (variant === undefined) return all;
    const chosen = all.filter((one) => one.variant === variant);
    if (chosen.length > 0) return chosen;
    throw new RepctlError('unknown-scenario', `Scenario ${name} has no variant ${variant}.`, {
      hint: `Variants: ${all.map((one) => one.variant ?? '–').join(', ')}`,
    });
  });
}

function fileNamed(name: string): string {
  const file = path.join(shippedDirectory(), `${name}.yaml`);
  if (/^[a-z][a-z0-9-]*$/u.test(name) && existsSync(file)) return file;
  const known = shippedFiles().map((one) => path.basename(one, '.yaml'));
  const near = nearest(name, known);
  throw new RepctlError('unknown-scenario', `There is no scenario ${JSON.stringify(name)}.`, {
    hint: `${near === undefined ? '' : `Did you mean ${near}? `}repctl drill list shows them; a file of your own is given as a path, such as ./${name || 'mine'}.yaml.`,
  });
}

function textOf(file: string): [string, string] {
  try {
    return [readFileSync(file, 'utf8'), file];
  } catch (error) {
    throw new RepctlError('scenario-unreadable', `${file} cannot be read: ${messageOf(error)}`, {
      hint: 'repctl drill list shows the scenarios that come along.',
      cause: error,
    });
  }
}

interface Complaint {
  readonly message: string;
  readonly hint?: string;
}

const invalid = (file: string, found: readonly Complaint[]): RepctlError => {
  const hint = found.find((one) => one.hint !== undefined)?.hint;
  return new RepctlError('scenario-invalid', found.map((one) => one.message).join('\n  '), {
    hint: hint ?? 'docs/drill.md describes the format.',
    details: { file, issues: found.map((one) => one.message) },
  });
};

const patternOf = (path: Path): string =>
  path.map((part) => (typeof part === 'number' ? '*' : part)).join('.');

/** The experiments in a file's text. Throws `scenario-invalid`. */
export function parseScenario(text: string, file: string): Scenario[] {
  const yaml = readYaml(text, file, 'scenario-invalid');
  const raw: unknown = yaml.document.toJS();
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw))
    throw invalid(file, [
      { message: `${file}: this is no scenario.`, hint: 'It needs name:, title: and steps:.' },
    ]);
  const result = scenarioSchema.safeParse(raw);
  const words = { words: WORDS, patternOf };
  if (!result.success)
    throw invalid(
      file,
      result.error.issues.flatMap((issue) => explain(issue as Issue, raw, yaml.place, words)),
    );
  const { data } = result;
  const given = raw as Record<string, unknown>;
  const steps = data.steps.map((step, index) => parseStep(step, index, yaml, file));
  const one = (variant: string | null, over: Record<string, unknown>): Scenario => ({
    name: data.name,
    title: data.title,
    about: data.about?.trim() ?? null,
    safe: data.safe,
    variant,
    cluster: clusterSchema.parse(merged(given['cluster'], over['cluster'])),
    workload: workloadSchema.parse(merged(given['workload'], over['workload'])),
    expect: expectSchema.parse(merged(given['expect'], over['expect'])),
    steps,
    random: data.random ?? 0,
    file,
  });
  const checked = (scenario: Scenario): Scenario => {
    const problems = problemsOf(scenario);
    if (problems.length === 0) return scenario;
    throw invalid(
      file,
      problems.map(({ path: at, message }) => ({ message: `${yaml.place(at)}: ${message}` })),
    );
  };
  if (data.variants === undefined) return [checked(one(null, {}))];
  return data.variants.map((variant, index) => {
    const parts = { cluster: clusterSchema, workload: workloadSchema, expect: expectSchema } as const;
    for (const [part, schema] of Object.entries(parts)) {
      const tried = schema.safeParse(merged(given[part], variant[part as keyof typeof parts]));
      if (tried.success) continue;
      const place = (at: Path): string => yaml.place(['variants', index, ...at]);
      const tree = { [part]: merged(given[part], variant[part as keyof typeof parts]) };
      throw invalid(
        file,
        tried.error.issues.flatMap((issue) =>
          explain({ ...(issue as Issue), path: [part, ...(issue as Issue).path] }, tree, place, words),
        ),
      );
    }
    return checked(one(variant.name, variant));
  });
}

/** Objects in objects are merged, anything else is replaced. */
function merged(base: unknown, over: unknown): unknown {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(over)) return over ?? base ?? {};
  if (!isObject(base)) return over;
  return Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(over)])].map((key) => [
      key,
      isObject(over[key]) ? merged(base[key], over[key]) : (over[key] ?? base[key]),
    ]),
  );
}

function parseStep(raw: Record<string, unknown>, index: number, yaml: YamlFile, file: string): Step {
  const place = (at: Path): string => yaml.place(['steps', index, ...at]);
  const keys = ACTIONS.filter((action) => action in raw);
  const [action] = keys;
  if (action === undefined) {
    const strange = Object.keys(raw).find((key) => !(key in STEP_WORDS));
    const near = strange === undefined ? undefined : nearest(strange, ACTIONS);
    throw invalid(file, [
      {
        message: `${place([])}: this step does nothing${strange === undefined ? '' : `: there is no step ${strange}`}.`,
        hint: near === undefined ? `Steps: ${ACTIONS.join(', ')}.` : `Did you mean ${near}?`,
      },
    ]);
  }
  if (keys.length > 1)
    throw invalid(file, [{ message: `${place([])}: a step does one thing, not ${keys.join(' and ')}.` }]);
  const result = STEPS[action].safeParse(raw);
  if (result.success) return { ...result.data, action } as Step;
  const known = Object.keys(STEPS[action].shape);
  const words = Object.fromEntries(
    Object.entries(STEP_WORDS).filter(([key]) => known.includes(key.split('.')[0] ?? '')),
  );
  throw invalid(
    file,
    result.error.issues.flatMap((issue) => explain(issue as Issue, raw, place, { words, patternOf })),
  );
}

export type { ActionKey };
