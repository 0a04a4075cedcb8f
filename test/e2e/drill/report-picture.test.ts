/**
 * The report as a browser draws it, judged by what is in the picture: each chart has its axes, lines and legends;
 * nothing is cut off, no two texts overlap, and what is written can be told from the paper, in light and in dark.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

/** Runs in the page. */
function lookAt(): Picture {
  interface Box {
    text: string;
    left: number;
    right: number;
    top: number;
    bottom: number;
  }
  const luminance = (colour: string): number => {
    const [r = 0, g = 0, b = 0] = (colour.match(/[\d.]+/gu) ?? []).map((part) => {
      const share = Number(part) / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const charts = [...document.querySelectorAll('figure svg')].filter(
    (svg) => svg.getBoundingClientRect().width > 0 && svg.closest('details:not([open])') === null,
  );
  return {
    width: document.documentElement.clientWidth,
    scrolled: document.documentElement.scrollWidth,
    charts: charts.map((svg) => {
      const frame = svg.getBoundingClientRect();
      const texts = [...svg.querySelectorAll('text')].filter((one) => (one.textContent ?? '').trim() !== '');
      const boxes: Box[] = texts.map((one) => {
        const { left, right, top, bottom } = one.getBoundingClientRect();
        return { text: one.textContent ?? '', left, right, top, bottom };
      });
      const overlapping = boxes.flatMap((a, i) =>
        boxes
          .slice(i + 1)
          .filter(
            (b) =>
              Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
              Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3,
          )
          .map((b) => `${a.text} / ${b.text}`),
      );
      return {
        texts: boxes.map((box) => box.text),
        lines: [...svg.querySelectorAll('path')].filter(
          (one) => one.getAttribute('fill') === 'none' && one.getBoundingClientRect().width > 40,
        ).length,
        overlapping,
        outside: boxes
          .filter(
            (box) =>
              box.left < frame.left - 1 ||
              box.right > frame.right + 1 ||
              box.top < frame.top - 1 ||
              box.bottom > frame.bottom + 1,
          )
          .map((box) => box.text),
        faint: texts
          .filter((one) => !/^\d+$/u.test(one.textContent ?? '') || Number(one.textContent) === 0)
          .filter((one) => contrast(getComputedStyle(one).fill, paper) < 4.5)
          .map((one) => one.textContent ?? ''),
      };
    }),
  };
}

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
    const picture = await page.evaluate(lookAt);
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
    const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    expect(paper).toBe(scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 24, 29)');
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
