/**
 * The language of docs/evaluation's template. Pure.
 *
 *   {{ figure EXPERIMENT FIGURE }}               a figure, its median and its spread
 *   {{ table FIGURE… | EXPERIMENT… }}            a row an experiment; a scenario stands for all its variants
 *   {{ chart FILE FIGURE… | EXPERIMENT… }}       the same as bars, a panel a figure
 *   {{ timeline FILE | EXPERIMENT }}             its newest run
 *   {{ say WORD }}                               what is known of all runs: environment, repeats, …
 *   {{ when SCENARIO }} … {{ else }} … {{ end }} only where it was run
 */
export type Command = 'figure' | 'table' | 'chart' | 'timeline' | 'say';

export interface Tag {
  readonly command: Command;
  /** Words before the bar, and after it. */
  readonly words: readonly string[];
  readonly experiments: readonly string[];
  /** As written. */
  readonly text: string;
  readonly line: number;
}

/** Why a template, or a figure in it, is of no use: with the line. */
export class TemplateError extends Error {}

const TAG = /\{\{\s*([^{}]+?)\s*\}\}/gu;
const COMMANDS: readonly string[] = ['figure', 'table', 'chart', 'timeline', 'say'];

const split = (text: string): string[] => text.split(/\s+/u).filter((word) => word !== '');

function tagOf(text: string, line: number): Tag {
  const [before = '', after = ''] = text.split('|');
  const [command = '', ...words] = split(before);
  if (!COMMANDS.includes(command)) throw new TemplateError(`line ${String(line)}: there is no {{ ${text} }}`);
  return { command: command as Command, words, experiments: split(after), text, line };
}

/**
 * Every tag replaced by what `resolve` makes of it; `was` tells which scenarios were run. Throws TemplateError for a
 * tag that is none, a block that does not close, and what `resolve` throws, all of them in one message.
 */
export function fillTemplate(
  template: string,
  resolve: (tag: Tag) => string,
  was: (scenario: string) => boolean,
): string {
  const wrong: string[] = [];
  /** Whether each open block is shown, and was written at which line. */
  const blocks: { shown: boolean; readonly line: number }[] = [];
  const shown = (): boolean => blocks.every((block) => block.shown);
  let result = '';
  let from = 0;
  for (const match of template.matchAll(TAG)) {
    if (shown()) result += template.slice(from, match.index);
    from = match.index + match[0].length;
    const text = match[1] ?? '';
    const line = template.slice(0, match.index).split('\n').length;
    const [word = '', scenario = ''] = split(text);
    const block = blocks.at(-1);
    try {
      if (word === 'when') blocks.push({ shown: was(scenario), line });
      else if (word === 'else' || word === 'end') {
        if (block === undefined) throw new TemplateError(`line ${String(line)}: ${word} without when`);
        if (word === 'end') blocks.pop();
        else block.shown = !block.shown;
      } else {
        const tag = tagOf(text, line);
        if (shown()) result += resolve(tag);
        continue;
      }
      // A tag of a block that has its line for itself takes that line with it.
      if (/(?:^|\n)$/u.test(template.slice(0, match.index)) && template[from] === '\n') from += 1;
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      wrong.push(error.message);
    }
  }
  const [open] = blocks;
  if (open !== undefined) wrong.push(`line ${String(open.line)}: when without end`);
  if (wrong.length > 0) throw new TemplateError(wrong.join('\n'));
  return result + template.slice(from);
}
