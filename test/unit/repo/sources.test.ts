import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { sources } from './files.js';

/** The rule of eslint.config.js, and dynamic imports too: who may not import whom. */
const DOMAIN = 'plan|cluster|replication|postgres|operations|consistency|routing|products|config';
const TERMINAL = ['chalk', 'cli-table3', 'ora', 'inquirer'];
const RULES: readonly { from: RegExp; not: (target: string) => boolean }[] = [
  {
    from: new RegExp(`^src/(${DOMAIN})/`, 'u'),
    not: (target) =>
      TERMINAL.includes(target) ||
      target.startsWith('@oclif/') ||
      /^src\/(cli|ui|commands|sandbox|demo|drill)\//u.test(target),
  },
  {
    from: /^src\/ui\//u,
    not: (target) =>
      target.startsWith('@oclif/') ||
      ['pg', 'inquirer'].includes(target) ||
      /^src\/(cli|commands|sandbox|demo)\//u.test(target),
  },
  { from: /^src\/cli\//u, not: (target) => /^src\/(commands|sandbox|demo)\//u.test(target) },
  {
    from: /^src\/sandbox\//u,
    not: (target) =>
      TERMINAL.includes(target) ||
      target.startsWith('@oclif/') ||
      /^src\/(cli|ui|commands|demo|drill)\//u.test(target),
  },
  {
    from: /^src\/drill\//u,
    not: (target) =>
      TERMINAL.includes(target) ||
      target.startsWith('@oclif/') ||
      /^src\/(cli|ui|commands|demo)\//u.test(target),
  },
];

/** What a file imports, statically, dynamically or as a type; own files as paths from the root. */
function importsOf(file: string, text: string): string[] {
  const found = text.matchAll(/\bfrom\s+'([^']+)'|\bimport\(\s*'([^']+)'|^import\s+'([^']+)'/gmu);
  return [...found].map((match) => {
    const target = match[1] ?? match[2] ?? match[3] ?? '';
    return target.startsWith('.') ? path.posix.join(path.posix.dirname(file), target) : target;
  });
}

const files = sources('src');

describe('sources', () => {
  it('import in one direction', () => {
    const broken = files.flatMap(({ file, text }) =>
      importsOf(file, text)
        .filter((target) => RULES.some((rule) => rule.from.test(file) && rule.not(target)))
        .map((target) => `${file} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('finds a dynamic import', () => {
    expect(
      importsOf('src/plan/a.ts', "await import('../ui/color.js'); import type { X } from 'chalk';"),
    ).toEqual(['src/ui/color.js', 'chalk']);
  });

  it('never use console, which passes redaction by', () => {
    const found = files.filter(({ text }) => /\bconsole\.\w+\(/u.test(text)).map(({ file }) => file);
    expect(found).toEqual([]);
  });

  it('have no default exports but commands and hooks', () => {
    const found = files
      .filter(({ file, text }) => !file.startsWith('src/commands/') && /^export default/mu.test(text))
      .map(({ file }) => file);
    expect(found).toEqual(['src/cli/not-found.ts']);
  });
});
