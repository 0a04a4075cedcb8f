import { describe, expect, it } from 'vitest';
import { sorted } from '../../../src/drill/history.js';
import { measure } from '../../../src/drill/judge/measure.js';
import { verdictsOf } from '../../../src/drill/judge/verdicts.js';
import { openLive } from '../../../src/drill/live.js';
import { parseScenario } from '../../../src/drill/load.js';
import { planDrill } from '../../../src/drill/plan.js';
import type { KeptResult } from '../../../src/drill/series.js';
import { plainStyle } from '../../../src/ui/color.js';
import { renderDrill, renderLive } from '../../../src/ui/drill.js';
import { final, sound } from '../drill/history.js';

const [scenario] = parseScenario('name: mine\ntitle: Mine\nsteps: [{ wait: 1s }]', 'mine.yaml');

function result(seed: number): KeptResult {
  const history = sorted(
    sound().map((line) =>
      line.kind === 'final' && seed === 2
        ? final(line.node, line.leader, { present: { w1: [[1, 9]] } })
        : line,
    ),
  );
  const measurements = measure(history, 1200, { state: 'healthy', epoch: 1 });
  const verdicts = verdictsOf(scenario!.expect, measurements, []);
  return {
    format: 1,
    run: 'r',
    scenario: 'mine',
    variant: null,
    title: 'Mine',
    about: null,
    seed,
    status: verdicts.every((one) => one.met) ? 'met' : 'violated',
    startedAt: '2026-01-01T00:00:00Z',
    ms: 2000,
    command: 'repctl drill run mine --seed 1',
    environment: { repctl: '0', node: '20', platform: 'x', cpus: 2, cpu: 'y', memoryBytes: 1, postgres: {} },
    cluster: scenario!.cluster,
    workload: scenario!.workload,
    expect: scenario!.expect,
    schedule: [],
    order: planDrill(scenario!, seed).order,
    steps: [],
    measurements,
    verdicts,
    grade: null,
    error: null,
    directory: '/state/drills/r',
    config: null,
  };
}

describe('what came of a drill', () => {
  const text = renderDrill({ skipped: [], results: [result(1), result(2)], met: false }, plainStyle(80));

  it('says each expectation, what broke it, and all runs in a table', () => {
    expect(text).toContain('mine  ● met  seed 1');
    expect(text).toContain('writes    10 of 10 acknowledged; p50 10 ms, p99 10 ms, max 10 ms');
    expect(text).toContain('lost      nothing that was acknowledged');
    expect(text).toContain('  ✗ rpo  1 (at most 0)\n      acknowledged and lost: w1/10');
    expect(text).toMatch(/^Scenario .*\nmine +1 {2}● met /mu);
  });

  it('fits 80 columns', () => {
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });
});

describe('a drill as it goes on', () => {
  it('shows writes a second and what each node lacks', () => {
    const live = openLive();
    for (const line of sound()) live.add(line);
    const lines = renderLive(live.view(1250), '*', plainStyle(80));
    expect(lines[1]).toMatch(/writes [▁-█]+ \d+\/s, 10 acknowledged$/u);
    expect(lines[2]).toMatch(/^ {2}n2 .* 0 rows behind$/u);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });
});
