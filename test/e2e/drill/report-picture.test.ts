/**
 * The report as a browser draws it, judged by what is in the picture: each chart has its axes, lines and legends;
 * nothing is cut off, no two texts overlap, and what is written can be told from the paper, in light and in dark.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { experimentsOf } from '../../../src/drill/report/summary.js';
import { renderHtml } from '../../../src/ui/drill-report/html.js';
import { recordedDrill } from '../../support/drill/recorded.js';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
);
if (CHROMIUM === undefined)
  process.stderr.write(
    'The report is not looked at: there is no Chromium. On Debian: apt-get install chromium\n',
  );

interface Picture {
  readonly paper: string;
  readonly width: number;
  readonly scrolled: number;
  readonly charts: readonly {
    readonly texts: readonly string[];
    readonly lines: number;
    readonly overlapping: readonly string[];
    readonly outside: readonly string[];
    /** Texts whose colour is too near to the paper's (WCAG contrast below 4.5). */
    readonly faint: readonly string[];
  }[];
}

/** Runs in the page; plain JavaScript, since nothing else here knows a browser's names. */
const LOOK = readFileSync(new URL('../../support/drill/look-at-page.mjs', import.meta.url), 'utf8');

describe.skipIf(CHROMIUM === undefined)('the report in a browser', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'repctl-report-'));
  const file = path.join(directory, 'report.html');
  let browser: Browser;
  beforeAll(async () => {
    const drills = [
      recordedDrill({ seed: 1 }),
      recordedDrill({ seed: 2, takes: 9 }),
      recordedDrill({ scenario: 'replicas', variant: 'any-1' }),
    ];
    const experiments = experimentsOf(drills.map(({ result }) => result));
    writeFileSync(file, renderHtml({ drills, experiments, madeAt: '2026-01-02T03:04:05.000Z' }));
    browser = await chromium.launch({
      executablePath: CHROMIUM ?? '',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--disable-background-networking',
        '--disable-sync',
      ],
    });
  });
  afterAll(async () => {
    await browser.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function open(width: number, colorScheme: 'light' | 'dark'): Promise<Page> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    await page.goto(pathToFileURL(file).href);
    return page;
  }

  it.each([
    [1280, 'light'],
    [1280, 'dark'],
    [360, 'light'],
    [360, 'dark'],
  ] as const)('at %i pixels, %s', async (width, scheme) => {
    const page = await open(width, scheme);
    const picture = await page.evaluate<Picture>(`${LOOK}\nlookAtPage()`);
    // The newest run of each experiment is open, one size of its chart is shown.
    expect(picture.charts).toHaveLength(2);
    expect(picture.scrolled).toBeLessThanOrEqual(picture.width);
    for (const chart of picture.charts) {
      expect(chart.texts).toEqual(
        expect.arrayContaining(['writes', 'reads', 'failed', 'median', 'longest', 'n1', 'n2', 'n3', '0 s']),
      );
      expect(chart.texts.join(' ')).toMatch(/Operations a second.*Latency of writes.*Behind what clients/u);
      expect(chart.lines).toBeGreaterThanOrEqual(8);
      expect({ overlapping: chart.overlapping, outside: chart.outside, faint: chart.faint }).toEqual({
        overlapping: [],
        outside: [],
        faint: [],
      });
    }
    expect(picture.paper).toBe(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 24, 29)');
    await page.close();
  });

  it('asks nobody for anything', async () => {
    const page = await browser.newPage();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    expect(asked).toEqual([pathToFileURL(file).href]);
    await page.close();
  });
});
