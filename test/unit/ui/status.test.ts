import { describe, expect, it } from 'vitest';
import { analyse } from '../../../src/cluster/analyse.js';
import { colors, plainStyle } from '../../../src/ui/color.js';
import { renderStatus } from '../../../src/ui/status.js';
import { healthy, patch, silence, subscriptionOf, tableOf } from '../../support/snapshots.js';

const config = { cluster: 'shop' };
const broken = () =>
  analyse(
    patch(
      patch(silence(healthy(4), 'n3'), 'n2', {
        subscriptions: [
          subscriptionOf('n2', 1, { workerPid: null, applyErrors: 12, conflicts: { insert_exists: 12 } }),
        ],
      }),
      'n4',
      {
        subscriptions: [
          subscriptionOf('n4', 1, {
            tables: [{ schema: 'public', name: 'products', state: 'd', syncing: true }],
          }),
        ],
      },
    ),
    config,
  );

describe('renderStatus', () => {
  it('prints a broken cluster in 80 columns', () => {
    const text = renderStatus(broken(), plainStyle());
    expect(text).toMatchInlineSnapshot(`
      "shop   epoch 1   leader n1   ● degraded                     2026-01-02 03:04:05Z

      Node  Role     State        Upstream  Applied  Behind      Last msg  Version
      n1 ★  leader   leading      –         0/2000   –           –         18.4
      n2    replica  stalled      n1        0/2000   0 B · 0 ms  0.2 s     18.4
      n3    replica  unreachable  –         –        –           –         –
      n4    replica  copying 0/1  n1        0/2000   0 B · 0 ms  0.2 s     18.4

      ✗ n2 apply-error        the apply worker keeps failing (12 tries,
                              insert_exists); the log of n2 says on what
                              repctl repair --node n2 shows the row that is in the
                              way, if one is, and lets the stream go on. The other
                              way, which loses what that transaction changed here:
                              repctl subscription skip n2 --lsn LSN, which that log
                              names
      ✗ n3 node-unreachable   n3 cannot be reached
                              Start the server, or check the URL and the network.
      · n2 conflicts          conflicts counted so far: insert_exists 12
                              repctl check --node n2"
    `);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('uses the room of a wide terminal, and copes with a narrow one', () => {
    const wide = renderStatus(broken(), plainStyle(140));
    expect(wide).toContain(
      '✗ n2 apply-error        the apply worker keeps failing (12 tries, insert_exists); the log of n2 says on what\n',
    );
    const narrow = renderStatus(broken(), plainStyle(40));
    expect(narrow).toContain('✗ n2 apply-error\n    the apply worker keeps failing (12');
  });

  it('tells a fenced old leader from one that takes writes', () => {
    const analysis = analyse(healthy(), config);
    const stale = (fenced: boolean) =>
      renderStatus(
        {
          ...analysis,
          nodes: analysis.nodes.map((node) =>
            node.name === 'n2' ? { ...node, state: 'stale', fenced } : node,
          ),
        },
        plainStyle(),
      );
    expect(stale(true)).toContain('stale, fenced');
    expect(stale(false)).toContain('stale, unfenced');
  });

  it('says that there is no cluster yet', () => {
    const bare = patch(
      patch(healthy(2), 'n1', { epochs: [], identity: null, metadata: 'missing', tables: [] }),
      'n2',
      {
        epochs: [],
        identity: null,
        metadata: 'missing',
        subscriptions: [],
        tables: [tableOf('products')],
      },
    );
    expect(renderStatus(analyse(bare, config), plainStyle())).toMatch(
      /^shop {3}no epoch {3}no leader {3}● critical/,
    );
  });

  it('is the same text in colour', () => {
    const plain = renderStatus(broken(), plainStyle());
    const coloured = renderStatus(broken(), { c: colors(1), width: 80 });
    expect(coloured).toContain('\u001B[');
    expect(coloured.replaceAll(/\u001B\[\d+m/gu, '')).toBe(plain);
  });
});
