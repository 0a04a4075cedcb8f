import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, read, sources } from './files.js';

interface CommandClass {
  summary?: string;
  examples?: unknown[];
  enableJsonFlag?: boolean;
  flags?: Record<string, { summary?: string; description?: string }>;
  args?: Record<string, { description?: string }>;
}

/** oclif's own help text has no JSON form. */
const WITHOUT_JSON = new Set(['src/commands/help/index.ts']);
const LINES = 100;

const commands = sources('src/commands');

describe.each(commands)('$file', ({ file, text }) => {
  it('has a summary, examples, --json, and says what each flag and argument is', async () => {
    const module = (await import(path.join(ROOT, file))) as { default: CommandClass };
    const command = module.default;
    expect(command.summary, 'a summary that is one sentence').toMatch(/^[A-Z].*\.$/su);
    expect(command.examples?.length ?? 0, 'examples').toBeGreaterThan(0);
    if (!WITHOUT_JSON.has(file)) expect(command.enableJsonFlag, '--json').toBe(true);
    for (const [name, flag] of Object.entries(command.flags ?? {}))
      expect(flag.summary ?? flag.description, `--${name}`).toBeTruthy();
    for (const [name, arg] of Object.entries(command.args ?? {})) expect(arg.description, name).toBeTruthy();
  });

  it(`is short (${String(LINES)} lines): parse → domain call → show`, () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(LINES);
  });
});

describe('topics', () => {
  it('each has a description in package.json', () => {
    const { oclif } = JSON.parse(read('package.json')) as { oclif: { topics: Record<string, unknown> } };
    const topics = commands
      .map(({ file }) => file.split('/').slice(2, -1).join(' '))
      .filter((topic) => topic !== '');
    expect(Object.keys(oclif.topics)).toEqual(expect.arrayContaining([...new Set(topics)]));
  });
});
