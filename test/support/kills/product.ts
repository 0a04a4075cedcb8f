/**
 * The whole product, built into a directory of its own, with parts of its source replaced while it is bundled:
 * always so that it can be struck at a given moment (strike.ts), and by a planted fault where a test wants to see
 * that the harness can fail. Nothing of this is in the product itself.
 */
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Plugin, build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A replacement in one source file, whose pattern must be there exactly once. */
export interface Mutation {
  /** Below the root of the project: `src/plan/execute.ts`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Product {
  /** The program; `node <main> status`. */
  readonly main: string;
  remove(): Promise<void>;
}

const STRIKE = JSON.stringify(path.join(ROOT, 'test/support/kills/strike.ts'));
const importing = (name: string): string => `import { ${name} as __${name} } from ${STRIKE};\n`;

/** Tells strike.ts of every step and every statement. */
const HOOKS: readonly Mutation[] = [
  {
    file: 'src/plan/execute.ts',
    find: 'const emit = options.onEvent ?? (() => undefined);',
    replace: 'const emit = __watchEvents(plan, options.onEvent ?? (() => undefined));',
  },
  {
    file: 'src/plan/execute.ts',
    find: 'const runStep = async (step: Step<Action>): Promise<void> => {',
    replace:
      'const runStep = (step: Step<Action>): Promise<void> => __withinStep(step, () => runInside(step));\n' +
      '  const runInside = async (step: Step<Action>): Promise<void> => {',
  },
  {
    file: 'src/postgres/session.ts',
    find: 'const statement = client.query({',
    replace: "__statement('before', options.node, sql);\n      const statement = client.query({",
  },
  {
    file: 'src/postgres/session.ts',
    find: 'const result = await watched(',
    replace: "__statement('sent', options.node, sql);\n      const result = await watched(",
  },
];
const IMPORTS: Readonly<Record<string, string>> = {
  'src/plan/execute.ts': importing('watchEvents') + importing('withinStep'),
  'src/postgres/session.ts': importing('statement'),
};

/** An esbuild plugin; the build fails when a pattern is not there exactly once. */
export function mutate(mutations: readonly Mutation[]): Plugin {
  return {
    name: 'mutate',
    setup(it) {
      for (const file of new Set(mutations.map((one) => one.file))) {
        const absolute = path.join(ROOT, file);
        const filter = new RegExp(`^${absolute.replaceAll(/[.\\/]/g, '\\$&')}$`);
        it.onLoad({ filter }, async () => {
          let source = await readFile(absolute, 'utf8');
          for (const { find, replace } of mutations.filter((one) => one.file === file)) {
            if (source.split(find).length !== 2)
              return { errors: [{ text: `${file}: not there exactly once: ${find}` }] };
            source = source.replace(find, () => replace);
          }
          return {
            contents: `${IMPORTS[file] ?? ''}${source}`,
            loader: 'ts',
            resolveDir: path.dirname(absolute),
          };
        });
      }
    },
  };
}

async function commands(): Promise<string[]> {
  const below = path.join(ROOT, 'src/commands');
  const entries = await readdir(below, { recursive: true });
  return entries.filter((name) => name.endsWith('.ts')).map((name) => path.join(below, name));
}

/** Builds it into `.tmp/`; about two seconds. */
export async function buildProduct(faults: readonly Mutation[] = []): Promise<Product> {
  await mkdir(path.join(ROOT, '.tmp'), { recursive: true });
  const directory = await mkdtemp(path.join(ROOT, '.tmp/product-'));
  await build({
    entryPoints: [
      path.join(ROOT, 'src/main.ts'),
      path.join(ROOT, 'src/cli/not-found.ts'),
      ...(await commands()),
    ],
    outdir: path.join(directory, 'dist'),
    outbase: path.join(ROOT, 'src'),
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    external: ['pg-native', 'typescript'],
    // As scripts/bundle.mjs does it: a cell starts the program a dozen times.
    define: { Response: 'undefined' },
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'error',
    plugins: [mutate([...HOOKS, ...faults])],
  });
  const manifest = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
    oclif: { plugins?: unknown };
  };
  delete manifest.oclif.plugins;
  await writeFile(path.join(directory, 'package.json'), JSON.stringify(manifest));
  await cp(path.join(ROOT, 'oclif.manifest.json'), path.join(directory, 'oclif.manifest.json'));
  await writeFile(
    path.join(directory, 'run.mjs'),
    "import { main } from './dist/main.js';\nawait main(process.argv.slice(2));\n",
  );
  return {
    main: path.join(directory, 'run.mjs'),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
