/** What the inspecting commands share on the screen. */
import type { Unseen } from '../replication/views/answers.js';
import type { Style } from './color.js';

/** A line for each node that did not answer, after a table of those that did. */
export const withUnseen = (text: string, unseen: readonly Unseen[], { c }: Style): string =>
  [text, ...unseen.map((one) => `${c.red('✗')} ${one.node} did not answer: ${one.message}`)].join('\n');

/** Marks what repctl did not make. */
export const owner = (own: boolean, { c }: Style): string => (own ? 'repctl' : c.yellow('foreign'));

export const dash = (value: string | number | null | undefined): string =>
  value === null || value === undefined || value === '' ? '–' : String(value);

/** `label   value` lines with the labels of one width. */
export function facts(pairs: readonly (readonly [string, string])[], { c }: Style): string {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return pairs.map(([label, value]) => `${c.dim(label.padEnd(width))}  ${value}`).join('\n');
}
