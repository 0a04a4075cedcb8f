/** `repctl status`: the topology at a glance. */
import type { Analysis } from '../cluster/analyse.js';
import type { ClusterState, NodeState } from '../cluster/model.js';
import type { NodeReport } from '../cluster/report.js';
import { syncText } from '../cluster/sync.js';
import type { Style } from './color.js';
import { renderFindings } from './findings.js';
import { formatBytes, formatDuration } from './format.js';
import { renderTable } from './table.js';

const NONE = '–';

export function renderStatus(analysis: Analysis, style: Style): string {
  const parts = [
    headline(analysis, style),
    renderTable(
      [
        { head: 'Node' },
        { head: 'Role' },
        { head: 'State' },
        { head: 'Upstream' },
        { head: 'Applied' },
        { head: 'Behind' },
        { head: 'Last msg', optional: true },
        { head: 'Version', optional: true },
      ],
      analysis.nodes.map((node) => [
        node.role === 'leader' ? style.c.bold(`${node.name} ★`) : node.name,
        node.role,
        paintState(node.state, style)(stateText(node)),
        node.upstream ?? NONE,
        node.appliedLsn ?? NONE,
        behindText(node),
        node.lastMessageMs === null ? NONE : secondsText(node.lastMessageMs),
        node.version ?? NONE,
      ]),
      style,
    ),
    renderFindings(analysis.findings, style),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function headline({ cluster, epoch, leader, sync, state, takenAt }: Analysis, style: Style): string {
  const { c } = style;
  const left = [
    c.bold(cluster),
    epoch === null ? 'no epoch' : `epoch ${String(epoch)}`,
    leader === null ? 'no leader' : `leader ${leader}`,
    ...(sync === null || sync.mode === 'async' ? [] : [`sync ${syncText(sync)}`]),
    paintCluster(state, style)(`● ${state}`),
  ].join('   ');
  const plainLength = visible(left);
  const time = `${takenAt.slice(0, 19).replace('T', ' ')}Z`;
  // The time ends where the table does.
  const gap = Math.min(style.width, 80) - plainLength - time.length;
  return gap >= 3 ? `${left}${' '.repeat(gap)}${c.dim(time)}` : `${left}\n${c.dim(time)}`;
}

const visible = (text: string): number => text.replaceAll(/\u001B\[[\d;]*m/gu, '').length;

function stateText(node: NodeReport): string {
  switch (node.state) {
    case 'copying':
      return `copying ${String(node.tablesReady ?? 0)}/${String(node.tablesTotal ?? 0)}`;
    case 'stale':
      return node.fenced === true ? 'stale, fenced' : 'stale, unfenced';
    default:
      return node.state;
  }
}

/** `57 kB · 41 s`; the time is left out where nobody knows it. */
function behindText(node: Pick<NodeReport, 'behindBytes' | 'behindMs'>): string {
  if (node.behindBytes === null) return NONE;
  const size = formatBytes(node.behindBytes);
  return node.behindMs === null ? size : `${size} · ${formatDuration(node.behindMs)}`;
}

/** Always seconds while below two minutes: `0.2 s` reads better beside its neighbours than `203 ms`. */
const secondsText = (ms: number): string =>
  ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms);

function paintState(state: NodeState, { c }: Style): (text: string) => string {
  switch (state) {
    case 'leading':
    case 'streaming':
      return (text) => c.green(text);
    case 'catching-up':
    case 'copying':
      return (text) => c.yellow(text);
    case 'stalled':
    case 'detached':
    case 'stale':
    case 'unreachable':
      return (text) => c.red(text);
  }
}

function paintCluster(state: ClusterState, { c }: Style): (text: string) => string {
  switch (state) {
    case 'healthy':
      return (text) => c.green(text);
    case 'degraded':
      return (text) => c.yellow(text);
    case 'critical':
      return (text) => c.red.bold(text);
  }
}
