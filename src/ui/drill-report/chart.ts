/**
 * One run as an SVG: writes and reads a second, latency and lag, one below the other on one time axis, with a numbered
 * mark where each step began. Colours are CSS variables of the page, so that one picture serves light, dark and print.
 */
import { LineChart, type LineSeriesOption, ScatterChart } from 'echarts/charts';
import {
  GridComponent,
  LegendComponent,
  MarkAreaComponent,
  MarkLineComponent,
  TitleComponent,
} from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Mark, Point, Timeline } from '../../drill/report/timeline.js';

export interface ChartSize {
  readonly width: number;
  /** Room for the figures of the y axes. */
  readonly left: number;
  readonly fontSize: number;
}

export const WIDE: ChartSize = { width: 960, left: 64, fontSize: 12 };
/** For pages as narrow as a telephone: the same picture, less of it side by side. */
export const NARROW: ChartSize = { width: 340, left: 46, fontSize: 11 };

const PANEL = 110;
const GAP = 58;
const MARK_ROW = 20;
const RIGHT = 14;
const AXIS = 42;

/** Which row of numbers each mark's number is in, so that no two touch. Pure; `perPx` is milliseconds a pixel. */
export function markRows(marks: readonly Pick<Mark, 'from'>[], perPx: number): number[] {
  const ends: number[] = [];
  return marks.map(({ from }) => {
    const x = from / perPx;
    const free = ends.findIndex((end) => x - end >= MARK_ROW);
    const row = free === -1 ? ends.length : free;
    ends[row] = x;
    return row;
  });
}

interface Panel {
  readonly name: string;
  readonly unit: string;
  readonly log: boolean;
  readonly lines: readonly {
    readonly name: string;
    readonly colour: string;
    readonly points: readonly Point[];
  }[];
}

const panelsOf = (timeline: Timeline): Panel[] => [
  {
    name: 'Operations a second',
    unit: '/s',
    log: false,
    lines: [
      { name: 'writes', colour: 'var(--c1)', points: timeline.writes },
      { name: 'reads', colour: 'var(--c2)', points: timeline.reads },
      {
        name: 'failed',
        colour: 'var(--bad)',
        points: timeline.failedWrites.map(([at, value], index) => [
          at,
          (value ?? 0) + (timeline.failedReads[index]?.[1] ?? 0),
        ]),
      },
    ],
  },
  {
    name: 'Latency of writes, from when they were due',
    unit: 'ms',
    log: true,
    lines: [
      { name: 'median', colour: 'var(--c1)', points: timeline.latencyP50.map(atLeastOne) },
      { name: 'longest', colour: 'var(--c3)', points: timeline.latencyMax.map(atLeastOne) },
    ],
  },
  {
    name: 'Behind what clients were told',
    unit: 'ms',
    log: true,
    lines: Object.entries(timeline.lag).map(([node, points], index) => ({
      name: node,
      colour: `var(--n${String((index % 6) + 1)})`,
      points: points.map(atLeastOne),
    })),
  },
];

/** A logarithmic axis has no zero. */
const atLeastOne = ([at, value]: Point): Point => [at, value === null ? null : Math.max(1, value)];

export function timelineSvg(timeline: Timeline, size: ChartSize): string {
  const panels = panelsOf(timeline);
  const plot = size.width - size.left - RIGHT;
  const rows = markRows(timeline.marks, Math.max(1, timeline.ms) / plot);
  const header = (Math.max(0, ...rows) + 1) * MARK_ROW + 6;
  const top = (index: number): number => header + index * (PANEL + GAP) + 40;
  const height = top(panels.length - 1) + PANEL + AXIS;
  use([
    LineChart,
    ScatterChart,
    GridComponent,
    LegendComponent,
    MarkAreaComponent,
    MarkLineComponent,
    TitleComponent,
    SVGRenderer,
  ]);
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: size.width, height });
  try {
    chart.setOption({
      animation: false,
      textStyle: { color: 'var(--ink)', fontFamily: 'inherit', fontSize: size.fontSize },
      title: panels.map((panel, index) => ({
        text: `${panel.name} (${panel.unit})`,
        left: 0,
        top: top(index) - 40,
        textStyle: { color: 'var(--ink)', fontSize: size.fontSize, fontWeight: 600 },
      })),
      legend: panels.map((panel, index) => ({
        data: panel.lines.map((line) => line.name),
        // The names of a panel's own lines: each panel has a legend of its own.
        selectedMode: false,
        left: 0,
        top: top(index) - 24,
        itemWidth: 14,
        itemHeight: 8,
        itemGap: 12,
        icon: 'roundRect',
        textStyle: { color: 'var(--ink)', fontSize: size.fontSize },
      })),
      grid: [
        ...panels.map((_, index) => ({
          left: size.left,
          right: RIGHT,
          top: top(index),
          height: PANEL,
        })),
        { left: size.left, right: RIGHT, top: 4, height: header - 6 },
      ],
      xAxis: [
        ...panels.map((_, index) => ({
          ...axis(size),
          gridIndex: index,
          type: 'value' as const,
          min: 0,
          max: timeline.ms,
          splitLine: { show: false },
          splitNumber: size.width < 500 ? 4 : 10,
          axisLabel: {
            ...label(size),
            show: index === panels.length - 1,
            hideOverlap: true,
            showMaxLabel: false,
            formatter: (ms: number) => `${String(ms / 1000)} s`,
          },
        })),
        { gridIndex: panels.length, type: 'value' as const, min: 0, max: timeline.ms, show: false },
      ],
      yAxis: [
        ...panels.map((panel, index) => ({
          ...axis(size),
          gridIndex: index,
          type: panel.log ? ('log' as const) : ('value' as const),
          min: panel.log ? 1 : 0,
          splitNumber: 3,
          axisLabel: { ...label(size), hideOverlap: true, formatter: short },
          splitLine: { lineStyle: { color: 'var(--line)' } },
        })),
        {
          gridIndex: panels.length,
          type: 'value' as const,
          min: -0.5,
          max: Math.max(0, ...rows) + 0.5,
          inverse: true,
          show: false,
        },
      ],
      series: [
        ...panels.flatMap((panel, index) =>
          panel.lines.map((line, first): LineSeriesOption => ({
            type: 'line',
            name: line.name,
            xAxisIndex: index,
            yAxisIndex: index,
            data: line.points.map(([at, value]) => [at, value ?? '-']),
            showSymbol: false,
            silent: true,
            lineStyle: { color: line.colour, width: 1.6 },
            itemStyle: { color: line.colour },
            ...(first === 0 ? marked(timeline) : {}),
          })),
        ),
        {
          type: 'scatter' as const,
          name: 'steps',
          xAxisIndex: panels.length,
          yAxisIndex: panels.length,
          silent: true,
          symbol: 'circle',
          symbolSize: MARK_ROW - 3,
          data: timeline.marks.map((mark, index) => ({
            value: [mark.from, rows[index] ?? 0],
            itemStyle: { color: colourOf(mark) },
            label: {
              show: true,
              formatter: String(mark.number),
              color: 'var(--paper)',
              fontSize: 11,
              fontWeight: 600,
            },
          })),
        },
      ],
    });
    return withViewBox(chart.renderToSVGString(), size.width, height);
  } finally {
    chart.dispose();
  }
}

const colourOf = (mark: Mark): string => (mark.fault ? 'var(--bad)' : 'var(--c1)');

const axis = (size: ChartSize) => ({
  axisLine: { show: true, lineStyle: { color: 'var(--muted)' } },
  axisTick: { lineStyle: { color: 'var(--muted)' } },
  nameTextStyle: { fontSize: size.fontSize },
});

const label = (size: ChartSize) => ({ color: 'var(--muted)', fontSize: size.fontSize });

/** 1000 → 1k: figures of an axis have little room. */
const short = (value: number): string => (value >= 1000 ? `${String(value / 1000)}k` : String(value));

/** A line where each step began, and its time shaded. */
const marked = (timeline: Timeline): Pick<LineSeriesOption, 'markLine' | 'markArea'> => ({
  markLine: {
    silent: true,
    symbol: 'none',
    label: { show: false },
    data: timeline.marks.map((mark) => ({
      xAxis: mark.from,
      lineStyle: { color: colourOf(mark), width: 1, type: 'dashed', opacity: 0.8 },
    })),
  },
  markArea: {
    silent: true,
    data: timeline.marks
      .filter((mark) => !mark.fault)
      .map((mark) => [
        { xAxis: mark.from, itemStyle: { color: 'var(--c1)', opacity: 0.1 } },
        { xAxis: mark.to ?? timeline.ms },
      ]),
  },
});

/** So that the page may make it narrower. */
const withViewBox = (svg: string, width: number, height: number): string =>
  svg.includes('viewBox')
    ? svg
    : svg.replace('<svg ', `<svg viewBox="0 0 ${String(width)} ${String(height)}" `);
