// npm run test:long: the proofs that take minutes, test/long/*.long.test.ts; npm test has their short forms.
// npm run test:long -- histories      files whose path has this word
//                      --seed N       one random history again, as it failed
//                      --count N      how many random histories; default 200
//                      --sabotage     plants faults into the program and shows what catches each
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const USAGE = 'usage: npm run test:long -- [FILE-WORD ...] [--seed N] [--count N] [--sabotage]';

function read() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seed: { type: 'string' },
        count: { type: 'string' },
        sabotage: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    // "Unknown option '-x'. To specify a positional argument …": its first sentence is what there is to know.
    console.error(`${error.message.split(/\.\s|\n/)[0].replace(/\.$/, '')}.\n${USAGE}`);
    process.exit(2);
  }
}

const { values, positionals } = read();
for (const name of ['seed', 'count'])
  if (values[name] !== undefined && !/^\d+$/.test(values[name])) {
    console.error(`--${name} takes a whole number, not ${values[name]}.`);
    process.exit(2);
  }

const filters = values.sabotage
  ? ['sabotage']
  : values.seed !== undefined || values.count !== undefined
    ? ['histories']
    : positionals;
const { status, signal } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--project', 'long', '--reporter=verbose', ...filters],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      ...(values.seed === undefined ? {} : { REPCTL_TEST_SEED: values.seed }),
      ...(values.count === undefined ? {} : { REPCTL_TEST_COUNT: values.count }),
    },
  },
);
process.exit(signal === null ? (status ?? 1) : 130);
