import { describe, expect, it } from 'vitest';
import { redact } from '../../../src/config/redact.js';

describe('redact', () => {
  it.each([
    ['postgres://u:secret@h:1/db', 'postgres://u:***@h:1/db'],
    ['at postgres://u:p%40ss/w@h/db now', 'at postgres://u:***@h/db now'],
    [`host=h password='it\\'s' dbname=x`, 'host=h password=*** dbname=x'],
    ['password=abc', 'password=***'],
    ['nothing to hide', 'nothing to hide'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });
});
