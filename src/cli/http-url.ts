/** The URL of a web service on the command line. */
import { RepctlError } from '../errors.js';

/** As given. Throws RepctlError `usage` (exit 2) for what is no http:// or https:// URL, or has a password in it. */
export function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // What was typed is not repeated: there may be a password in it.
  if (url === undefined || !['http:', 'https:'].includes(url.protocol))
    throw new RepctlError('usage', '--http takes a URL such as http://127.0.0.1:8080.');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new RepctlError('usage', '--http takes a URL without user, query and fragment.');
  return text;
}
