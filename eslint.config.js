import tseslint from 'typescript-eslint';

/** Who may import whom; test/unit/repo/direction.test.ts holds the same rule for dynamic imports. */
const forbid = (files, patterns, message) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ regex: patterns, message }] }] },
});

const ui = 'chalk|cli-table3|ora|inquirer|@oclif/';
const domain = [
  'plan',
  'cluster',
  'replication',
  'postgres',
  'operations',
  'consistency',
  'routing',
  'products',
  'config',
];

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'coverage/', '.tmp/'] },
  ...tseslint.configs.strictTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  ...tseslint.configs.stylisticTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/no-non-null-assertion': 'error',
    },
  },
  forbid(
    domain.map((folder) => `src/${folder}/**/*.ts`),
    `^(${ui})|/(cli|ui|commands|sandbox|demo|drill)/`,
    'The domain knows neither the terminal nor the sandbox: commands → cli, ui, domain.',
  ),
  forbid(
    ['src/ui/**/*.ts'],
    '^(@oclif/|pg$|inquirer)|/(cli|commands|sandbox|demo)/',
    'ui imports domain types only.',
  ),
  forbid(
    ['src/cli/**/*.ts'],
    '/(commands|sandbox|demo)/',
    'cli serves the commands, not the other way round.',
  ),
  forbid(
    ['src/sandbox/**/*.ts'],
    `^(${ui})|/(cli|ui|commands|demo|drill)/`,
    'The sandbox is a domain of its own.',
  ),
  forbid(
    ['src/drill/**/*.ts'],
    `^(${ui})|/(cli|ui|commands|demo)/`,
    'Drills stand on the domain and the sandbox.',
  ),
  { files: ['test/**/*.ts'], rules: { '@typescript-eslint/no-non-null-assertion': 'off' } },
);
