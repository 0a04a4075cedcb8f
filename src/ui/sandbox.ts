/** The sandbox as a person reads it. */
import type { Style } from './color.js';
import { formatCount, formatDuration } from './format.js';
import { wrap } from './wrap.js';
import { renderTable } from './table.js';

type ProcessState = 'running' | 'paused' | 'stopped' | 'crashed';

interface UpView {
  readonly directory: string;
  readonly created: boolean;
  readonly cluster: string;
  readonly leader: string | null;
  readonly products: number;
  readonly nodes: readonly { readonly name: string; readonly version: string; readonly url: string }[];
  readonly phases: readonly { readonly phase: string; readonly ms: number }[];
  readonly totalMs: number;
}

export function renderUp(up: UpView, style: Style): string {
  const { c } = style;
  const role = (name: string): string =>
    up.leader === null ? 'bare' : name === up.leader ? 'leader' : 'replica';
  const what = up.created ? `Cluster ${up.cluster}` : 'Bare servers';
  const products = up.products > 0 ? `, ${formatCount(up.products)} products` : '';
  const phases = up.phases.map(({ phase, ms }) => `${phase} ${formatDuration(ms)}`).join(', ');
  return [
    `${c.green('✓')} ${what}: ${String(up.nodes.length)} ${up.nodes.length === 1 ? 'node' : 'nodes'}${products}, ready in ${c.bold(formatDuration(up.totalMs))}`,
    ...wrap(phases, style.width - 2).map((line) => c.dim(`  ${line}`)),
    '',
    renderTable(
      [{ head: 'Node' }, { head: 'Role' }, { head: 'Version', align: 'right' }, { head: 'Address' }],
      up.nodes.map((node) => [node.name, role(node.name), node.version, node.url]),
      style,
    ),
    '',
    c.dim(up.directory),
    up.created
      ? `${c.cyan('repctl status')} shows the cluster, ${c.cyan('repctl sandbox down')} removes it.`
      : `${c.cyan('repctl cluster create')} makes a cluster of them, ${c.cyan('repctl sandbox down')} removes them.`,
  ].join('\n');
}

interface StatusView {
  readonly up: true;
  readonly directory: string;
  readonly startedAt: string;
  readonly account: string | null;
  readonly nodes: readonly {
    readonly name: string;
    readonly state: ProcessState;
    readonly version: string;
    readonly port: number;
    readonly clientPort: number;
    readonly pid: number | null;
    readonly processes: number;
  }[];
  readonly proxy: { readonly running: boolean; readonly cut: readonly CutView[] } | null;
}

interface CutView {
  readonly from: string;
  readonly to: string;
  readonly passage: string;
}

const stateText = (state: ProcessState, { c }: Style): string =>
  ({ running: c.green, paused: c.yellow, stopped: c.dim, crashed: c.red })[state](state);

export function renderSandboxStatus(status: StatusView | { readonly up: false }, style: Style): string {
  const { c } = style;
  if (!status.up) return `No sandbox is up. ${c.cyan('repctl sandbox up')} starts one.`;
  const account = status.account === null ? '' : `, servers run as ${status.account}`;
  const lines = [
    `${status.directory} ${c.dim(`(since ${status.startedAt}${account})`)}`,
    '',
    renderTable(
      [
        { head: 'Node' },
        { head: 'State' },
        { head: 'Version', align: 'right' },
        { head: 'Port', align: 'right' },
        { head: 'Server port', align: 'right' },
        { head: 'Pid', align: 'right' },
        { head: 'Processes', align: 'right' },
      ],
      status.nodes.map((node) => [
        node.name,
        stateText(node.state, style),
        node.version,
        String(node.clientPort),
        String(node.port),
        node.pid === null ? '–' : String(node.pid),
        String(node.processes),
      ]),
      style,
    ),
    '',
  ];
  if (status.proxy === null) lines.push(c.dim('No proxy: links cannot be cut.'));
  else if (!status.proxy.running)
    lines.push(`${c.red('✗')} The proxy is not running: ${c.cyan('repctl sandbox start')}`);
  else lines.push(renderCuts(status.proxy.cut, style));
  return lines.join('\n');
}

/** `n1 ⇹ n2` for both directions, `n1 → n2` for one; clients by that name. */
export function renderCuts(cut: readonly CutView[], { c }: Style): string {
  if (cut.length === 0) return 'No link is cut.';
  const has = (from: string, to: string): boolean => cut.some((one) => one.from === from && one.to === to);
  const links = cut
    .filter(({ from, to }) => !(has(to, from) && from > to))
    .map(({ from, to, passage }) => `${from} ${has(to, from) ? '↔' : '→'} ${to} (${passage})`);
  return `${c.yellow('Cut:')} ${links.join(', ')}`;
}

interface ActionView {
  readonly action: 'kill' | 'stop' | 'start' | 'pause' | 'resume';
  readonly nodes: readonly {
    readonly name: string;
    readonly before: ProcessState;
    readonly state: ProcessState;
    readonly ms: number;
  }[];
}

export function renderAction({ nodes }: ActionView, style: Style): string {
  return nodes
    .map(({ name, before, state, ms }) =>
      before === state
        ? `${name} was ${stateText(state, style)} already`
        : `${name} ${stateText(before, style)} → ${stateText(state, style)} ${style.c.dim(`in ${formatDuration(ms)}`)}`,
    )
    .join('\n');
}
