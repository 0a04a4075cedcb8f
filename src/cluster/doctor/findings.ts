/** What doctor saw and tried → findings, the gravest first. Pure. */
import { reachableNodes } from '../epochs.js';
import type { Finding, ReachableNode } from '../model.js';
import { bySeverity } from '../severity.js';
import { trialFindings } from './capabilities.js';
import { leftovers, roomFindings } from './room.js';
import { tableFindings } from './tables.js';
import type { DoctorView } from './view.js';

export function doctorFindings(view: DoctorView): readonly Finding[] {
  const nodes = reachableNodes(view.snapshot);
  const findings = [
    ...analysisFindings(view),
    ...hostFindings(view),
    ...nodes.flatMap((node) => [...roomFindings(view, node), ...leftovers(view, node)]),
    ...twinFindings(nodes),
    ...view.trials.flatMap((trials) => trialFindings(view, trials)),
    ...tableFindings(view),
  ];
  const order = (finding: Finding) => view.snapshot.nodes.findIndex((node) => node.name === finding.node);
  return findings.toSorted((a, b) => bySeverity(a, b) || order(a) - order(b));
}

/** Everything status finds, but that there is no cluster yet is no fault here, and tables are compared below. */
function analysisFindings({ analysis, snapshot }: DoctorView): readonly Finding[] {
  const bare = reachableNodes(snapshot).every((node) => node.metadata === 'missing');
  return analysis.findings
    .filter((it) => it.code !== 'schema-drift' && it.code !== 'position-unknown')
    .map((it) => (it.code === 'no-leader' && bare ? { ...it, severity: 'info' as const } : it));
}

function hostFindings({ config, pooled }: DoctorView): readonly Finding[] {
  return config.nodes.flatMap((node): readonly Finding[] => {
    if (pooled.includes(node.name)) {
      return [
        {
          code: 'pooled-host',
          severity: 'error',
          node: node.name,
          message:
            'the URL leads to a connection pooler: sessions, locks and replication do not work through it',
          fix: 'Use the direct host: the same name without -pooler.',
        },
      ];
    }
    if (!/\.neon\.tech(?:[:/?]|$)/u.test(node.url)) return [];
    return [
      {
        code: 'neon-host',
        severity: 'info',
        node: node.name,
        message:
          'a Neon host: slots that nobody reads for about 40 hours are removed, and a branch restore drops all of them',
        fix: 'repctl slot advance every few hours counts as use',
      },
    ];
  });
}

/** Copied data directories, restored backups and Neon branches; two databases of one server too. */
function twinFindings(nodes: readonly ReachableNode[]): readonly Finding[] {
  const identifiers = new Set(nodes.map((node) => node.systemIdentifier).filter((it) => it !== ''));
  const groups = [...identifiers].map((it) => nodes.filter((node) => node.systemIdentifier === it));
  return groups
    .filter((group) => group.length > 1)
    .map((group) => ({
      code: 'shared-system-identifier',
      severity: 'info',
      message: `${group.map((node) => node.name).join(', ')} share the system identifier ${group[0]?.systemIdentifier ?? ''}: their initial copies are made one after the other`,
    }));
}
