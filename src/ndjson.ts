/** Files with a line of JSON each, written by somebody who may still be at it, or was killed. */

/** Every whole line, in order; a last one that was cut short is left out. */
export const parseLines = <T>(text: string): T[] =>
  text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
