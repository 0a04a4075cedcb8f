import type { Style } from './color.js';

/** The table of `repctl help exit-codes`. */
export function renderExitCodes(
  { exitCodes }: { exitCodes: readonly { code: number; name: string; meaning: string }[] },
  { c }: Style,
): string {
  const rows = exitCodes.map(
    ({ code, name, meaning }) => `${String(code).padStart(4)}  ${c.bold(name.padEnd(12))}  ${meaning}`,
  );
  return [
    'How every command ends, in text and with --json alike:',
    '',
    ...rows,
    '',
    'With --json an error is {"error":{"code","message","hint","details"}} on stdout.',
  ].join('\n');
}
