// npm run bench status [-- --runs 20]
// Wall time of `repctl status` on a healthy cluster of four, beside `node -e 0`, taken in turns.
import { spawnSync } from 'node:child_process';
import { PROGRAM, machine, options, quantile, say, spread, withSandbox } from './lib/bench.mjs';

const { runs } = options({ runs: 20 });

await withSandbox(['--no-proxy'], ({ env, directory }) => {
  const time = (args) => {
    const start = performance.now();
    const { status } = spawnSync(process.execPath, args, { env, cwd: directory, stdio: 'ignore' });
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${String(status)}`);
    return performance.now() - start;
  };
  const [bare, version, status] = [[], [], []];
  for (let i = 0; i < runs; i += 1) {
    bare.push(time(['-e', '0']));
    version.push(time([PROGRAM, '--version']));
    status.push(time([PROGRAM, 'status']));
  }
  const ratio = quantile(status, 0.5) / quantile(bare, 0.5);
  say(machine());
  say(`node -e 0         ${spread(bare)}`);
  say(`repctl --version  ${spread(version)}`);
  say(`repctl status     ${spread(status)}`);
  say(`status ÷ node     ${ratio.toFixed(1)}`);
});
