import { describe, expect, it } from 'vitest';
import { EXIT_CODES } from '../../../src/cli/exit-codes.js';
import { EXIT } from '../../../src/errors.js';
import { plainStyle } from '../../../src/ui/color.js';
import { renderExitCodes } from '../../../src/ui/exit-codes.js';

describe('exit codes', () => {
  it('explains every one', () => {
    expect(EXIT_CODES.map(({ code }) => code)).toEqual(Object.values(EXIT));
    const text = renderExitCodes({ exitCodes: EXIT_CODES }, plainStyle());
    for (const { meaning } of EXIT_CODES) expect(text).toContain(meaning);
  });
});
