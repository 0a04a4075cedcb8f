/** `${VAR}` in the values of the configuration. */
import { RepctlError } from '../errors.js';
import type { Env } from './resolve.js';

const REFERENCE = /\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/gu;

/** Whether the text refers to a variable. */
export const hasReference = (text: string): boolean =>
  [...text.matchAll(REFERENCE)].some((match) => match[1] !== undefined);

/**
 * Replaces `${VAR}` and `${VAR:-default}`; `$$` is a plain `$`. The variable holds the plain value: in the user
 * and password part of a URL it is percent-encoded, in a key=value string escaped, so that a password may hold
 * any character. A text that is nothing but one reference is taken as it is. Throws RepctlError
 * `variable-unset` (exit 2) that names variable and `place`.
 */
export function interpolate(text: string, env: Env, place: string): string {
  const encode = encoderOf(text);
  return text.replaceAll(
    REFERENCE,
    (match, name: string | undefined, fallback: string | undefined, offset: number) => {
      if (name === undefined) return '$';
      const value = env[name] ?? fallback;
      if (value === undefined) {
        throw new RepctlError('variable-unset', `${place}: the environment variable ${name} is not set.`, {
          hint: `export ${name}=…  (or write \${${name}:-default})`,
          details: { variable: name, place },
        });
      }
      return match === text ? value : encode(value, offset);
    },
  );
}

function encoderOf(template: string): (value: string, offset: number) => string {
  const url = /^\s*postgres(?:ql)?:\/\/[^/?]*@/u.exec(template);
  if (url) {
    const end = url[0].length;
    return (value, offset) => (offset < end ? encodeURIComponent(value) : value);
  }
  if (/^\s*postgres(?:ql)?:\/\//u.test(template)) return (value) => value;
  // key=value: a backslash escapes the next character, within quotes and without.
  if (/^\s*[a-z_]+\s*=/u.test(template)) return (value) => value.replaceAll(/[\s'\\]/gu, '\\$&');
  return (value) => value;
}
