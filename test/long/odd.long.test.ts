/** The odd histories that CI has no time for: npm run test:long odd. The others are in test/integration/histories. */
import { describe, expect, it } from 'vitest';
import { play } from '../support/histories/history.js';
import { ODD_LONG } from '../support/histories/odd.js';
import { rig } from '../support/histories/rig.js';

describe('odd histories', () => {
  const up = rig();

  it.each(Object.entries(ODD_LONG))('%s', async (_, history) => {
    const { violations, log } = await play(history, up());
    expect(violations, log.join('\n')).toEqual([]);
  });
});
