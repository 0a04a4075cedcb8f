/**
 * npm run test:long -- --sabotage: the program with its fence, its drain or its mapping switched off while it is
 * bundled, in a drill. The scenario must be reported as violated, by the judge that is there for it, from what clients
 * saw; the program as it is must meet it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DrillResult } from '../../src/drill/result.js';
import { FAULTS } from '../support/histories/faults.js';
import { type Fault, buildProgram } from '../support/histories/program.js';

/** Within so many seeds a fault must have been caught. */
const MOST = 6;

const faultNamed = (name: string): Fault => {
  const found = FAULTS.find((fault) => fault.name === name);
  if (found === undefined) throw new Error(`no fault ${name}`);
  return found;
};

const CASES = [
  { fault: 'fence-skipped', scenario: 'switchover-and-strays' },
  { fault: 'drain-skipped', scenario: 'switchover-and-strays' },
  { fault: 'mapping-ahead', scenario: 'leader-killed-behind' },
] as const;

/** What rows that are wrong look like; that a step failed or nothing heals is not enough. */
const WRONG_ROWS =
  /^(?:rpo|no row twice|no phantom row|constant total|equal rows|whole transfers|consistent prefix)$/u;

describe('a drill of a program with a fault planted', () => {
  const table: string[] = [];
  afterAll(() => {
    process.stdout.write(
      `${['| switched off | scenario | violated | seed |', '| --- | --- | --- | --- |', ...table].join('\n')}\n`,
    );
  });

  it.each(CASES)('$fault is violated in $scenario', async ({ fault, scenario }) => {
    const program = await buildProgram(faultNamed(fault));
    const home = mkdtempSync(path.join(tmpdir(), 'repctl-drill-sabotage-'));
    const file = path.join(import.meta.dirname, '../support/drills', `${scenario}.yaml`);
    try {
      let caught: string[] = [];
      let seed = 1;
      for (; caught.length === 0 && seed <= MOST; seed += 1) {
        const { stdout, stderr } = await program.run(
          ['drill', 'run', file, '--seed', String(seed), '--json'],
          home,
        );
        const report = JSON.parse(stdout) as { results?: DrillResult[] };
        expect(report.results, stderr).toHaveLength(1);
        caught = (report.results?.[0]?.verdicts ?? [])
          .filter((one) => !one.met && WRONG_ROWS.test(one.expectation))
          .map((one) => one.expectation);
      }
      table.push(
        `| ${fault} | ${scenario} | ${caught.join(', ') || 'NOBODY NOTICED'} | ${String(seed - 1)} |`,
      );
      expect(caught).not.toEqual([]);
    } finally {
      program.remove();
      rmSync(home, { recursive: true, force: true });
    }
  });
});
