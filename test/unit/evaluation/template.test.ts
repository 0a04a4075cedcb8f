/** The template's language: what it replaces, what it leaves out, what it refuses. */
import { describe, expect, it } from 'vitest';
import { type Tag, TemplateError, fillTemplate } from '../../../src/evaluation/template.js';

const filled = (template: string, was: readonly string[] = []): string =>
  fillTemplate(
    template,
    (tag: Tag) => `[${[tag.command, ...tag.words, '|', ...tag.experiments].join(' ')}]`,
    (scenario) => was.includes(scenario),
  );

function complaint(template: string): string {
  try {
    return filled(template);
  } catch (error) {
    if (error instanceof TemplateError) return error.message;
    throw error;
  }
}

describe('the template', () => {
  it.each([
    ['plain text', [], 'plain text'],
    ['a {{ figure x rto }} b', [], 'a [figure x rto |] b'],
    ['{{ table rto lost | a b }}', [], '[table rto lost | a b]'],
    ['1\n{{ when a }}\n2\n{{ end }}\n3', ['a'], '1\n2\n3'],
    ['1\n{{ when a }}\n2\n{{ end }}\n3', [], '1\n3'],
    ['{{ when a }}yes{{ else }}no{{ end }}', ['a'], 'yes'],
    ['{{ when a }}yes{{ else }}no{{ end }}', [], 'no'],
    ['{{ when a }}{{ when b }}both{{ end }}a{{ end }}', ['a'], 'a'],
    ['{{ when a }}{{ when b }}both{{ end }}a{{ end }}', ['b'], ''],
  ])('%j with %j', (template, was, result) => {
    expect(filled(template, was)).toBe(result);
  });

  it.each([
    ['{{ figur x rto }}', 'line 1: there is no {{ figur x rto }}'],
    ['\n\n{{ when a }}', 'line 3: when without end'],
    ['{{ end }}', 'line 1: end without when'],
    ['{{ when a }}{{ nonsense }}{{ end }}', 'line 1: there is no {{ nonsense }}'],
    ['{{ x }}\n{{ y }}', 'line 1: there is no {{ x }}\nline 2: there is no {{ y }}'],
  ])('%j is refused', (template, words) => {
    expect(complaint(template)).toBe(words);
  });
});
