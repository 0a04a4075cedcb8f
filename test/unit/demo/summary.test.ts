import { expect, it } from 'vitest';
import { renderSummary } from '../../../src/demo/summary.js';
import { plainStyle } from '../../../src/ui/color.js';

it('says what was measured, within 80 columns', () => {
  const text = renderSummary(
    {
      acknowledged: 1704,
      byNode: [
        { node: 'n1', writes: 1395 },
        { node: 'n2', writes: 309 },
      ],
      kept: 1703,
      lost: 1,
      unknown: 1,
      unknownKept: 0,
      withoutWritesMs: 2345,
      switchoverMs: 41,
      failoverToWriteMs: 612,
      copied: 0,
      replicas: ['n3', 'n4'],
      removedMs: 900,
      totalMs: 31_000,
    },
    plainStyle(),
  );
  expect(text).toBe(`Measured in this run
  writes acknowledged     1,704  1,395 by n1, 309 by n2
  kept                    1,703  found on the leader in the end, by number
  lost                        1  not sent when n1 died; rejoin saved them
  never answered              1  in flight at the kill; 0 of them kept
  without writes          2.3 s  failover: between two acknowledged writes
                         612 ms  of it from "repctl failover" to the first write
                          41 ms  switchover: between two acknowledged writes
  rows copied                 0  to attach n3 and n4 to the new leader
  removed in             900 ms
  all of it                31 s`);
});
