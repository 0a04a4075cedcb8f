import { describe, expect, it } from 'vitest';
import { explainUnknown } from '../../../src/cli/not-found.js';

const commands = [
  'status',
  'sandbox up',
  'sandbox status',
  'product list',
  'product get',
  'help exit-codes',
  'check',
];

describe('explainUnknown', () => {
  it.each([
    ['statsu', 'There is no command "statsu".', /^Did you mean repctl status\?/],
    ['sandbox statsu', 'There is no command "sandbox statsu".', /^Did you mean repctl sandbox status\?/],
    ['product gett 1', 'There is no command "product gett".', /^Did you mean repctl product get\?/],
    ['prodcut list', 'There is no command "prodcut".', /^Did you mean repctl product\?/],
    ['chekc', 'There is no command "chekc".', /^Did you mean repctl check\?/],
    ['something', 'There is no command "something".', /^repctl help lists the commands\.$/],
    ['sandbox zzzzzz', 'There is no command "sandbox zzzzzz".', /^repctl sandbox --help lists/],
    [
      'sandbox status extra words',
      'repctl sandbox status takes no such argument.',
      /^See repctl sandbox status --help/,
    ],
    ['', 'A command is missing.', /repctl help/],
  ])('%s', (words, message, hint) => {
    const result = explainUnknown(words === '' ? [] : words.split(' '), commands);
    expect(result.message).toBe(message);
    expect(result.hint).toMatch(hint);
  });
});
