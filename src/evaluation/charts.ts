/** Figures as bars, and a run as a timeline: SVG files that stand for themselves, light and dark. Pure. */
import { BarChart, type BarSeriesOption, CustomChart, type CustomSeriesOption } from 'echarts/charts';
import { GridComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Spread } from '../drill/report/summary.js';
import type { Timeline } from '../drill/report/timeline.js';
import { WIDE, timelineSvg } from '../ui/drill-report/chart.js';
import { figureText } from '../ui/drill-report/figures.js';
import { STYLE } from '../ui/drill-report/style.js';

export interface Panel {
  readonly figure: string;
  readonly head: string;
  readonly bars: readonly { readonly name: string; readonly spread: Spread | null }[];
}

const WIDTH = 860;
const ROW = 24;
const LEFT = 210;
const RIGHT = 150;
const HEAD = 30;
const GAP = 14;

/** The colours of the report, inside the file: an image in a page sees nothing of the page's. */
const coloured = (svg: string): string => {
  const colours = STYLE.split('* { box-sizing')[0]?.split('@media print')[0] ?? '';
  return svg.replace(
    /(<svg [^>]*>)/u,
    `$1<style>${colours} svg { background: var(--paper); font-family: sans-serif; }</style>`,
  );
};

/** One panel a figure, one bar an experiment: the median, with a line from least to most where there are several runs. */
export function barsSvg(panels: readonly Panel[]): string {
  use([BarChart, CustomChart, GridComponent, TitleComponent, SVGRenderer]);
  let top = 4;
  const places = panels.map((panel) => {
    const place = { top: top + HEAD, height: panel.bars.length * ROW };
    top = place.top + place.height + GAP;
    return place;
  });
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: top });
  try {
    chart.setOption({
      animation: false,
      textStyle: { color: 'var(--ink)', fontFamily: 'inherit' },
      title: panels.map((panel, index) => ({
        text: panel.head,
        left: 0,
        top: (places[index]?.top ?? 0) - HEAD + 4,
        textStyle: { color: 'var(--ink)', fontSize: 13, fontWeight: 600 },
      })),
      grid: places.map((place) => ({ ...place, left: LEFT, right: RIGHT })),
      xAxis: panels.map((_, index) => ({ gridIndex: index, type: 'value' as const, min: 0, show: false })),
      yAxis: panels.map((panel, index) => ({
        gridIndex: index,
        type: 'category' as const,
        inverse: true,
        data: panel.bars.map((bar) => bar.name),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: 'var(--muted)' } },
        axisLabel: { color: 'var(--ink)', fontSize: 12 },
      })),
      series: panels.flatMap((panel, index) => [medians(panel, index), ranges(panel, index)]),
    });
    return coloured(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

const medians = (panel: Panel, index: number): BarSeriesOption => ({
  type: 'bar',
  xAxisIndex: index,
  yAxisIndex: index,
  silent: true,
  barWidth: ROW - 10,
  itemStyle: { color: 'var(--c1)' },
  data: panel.bars.map((bar) => bar.spread?.median ?? 0),
});

/** The line from least to most, and the figure in words behind it. */
function ranges(panel: Panel, index: number): CustomSeriesOption {
  return {
    type: 'custom',
    xAxisIndex: index,
    yAxisIndex: index,
    silent: true,
    data: panel.bars.map((bar, row) => [bar.spread?.max ?? 0, row]),
    renderItem: (_, api) => {
      const row = Number(api.value(1));
      const spread = panel.bars[row]?.spread ?? null;
      const [, y = 0] = api.coord([0, row]);
      const [from = 0] = api.coord([spread?.min ?? 0, row]);
      const [to = 0] = api.coord([spread?.max ?? 0, row]);
      return {
        type: 'group',
        children: [
          {
            type: 'line',
            shape: { x1: from, y1: y, x2: to, y2: y },
            style: { stroke: 'var(--ink)', lineWidth: 1.5 },
          },
          {
            type: 'text',
            x: to + 6,
            y,
            style: {
              text: figureText(panel.figure, spread?.median ?? null),
              fill: 'var(--ink)',
              fontSize: 12,
              verticalAlign: 'middle',
            },
          },
        ],
      };
    },
  };
}

export const runSvg = (timeline: Timeline): string => coloured(timelineSvg(timeline, WIDE));
