/** What the terminal at the end of a stream can show. */
import { supportsColor, supportsColorStderr } from 'chalk';
import { type Style, colorLevel, colors } from '../ui/color.js';

/** 80 columns in a pipe, so that piped output is stable. */
export function styleFor(stream: NodeJS.WriteStream, noColor: boolean): Style {
  const support = stream === process.stderr ? supportsColorStderr : supportsColor;
  const level = colorLevel({
    off: noColor,
    isTTY: stream.isTTY,
    env: process.env,
    level: support === false ? 0 : support.level,
  });
  return { c: colors(level), width: stream.isTTY ? Math.max(40, stream.columns) : 80 };
}
