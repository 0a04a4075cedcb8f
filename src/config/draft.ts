/** A configuration in the making: what `init` collects, and the repctl.yaml it becomes. */
import { stringify } from 'yaml';
import { EXIT, RepctlError } from '../errors.js';
import { parseConninfo } from './conninfo.js';
import { NODE_NAME } from './schema.js';
import { hasReference } from './variables.js';

export interface DraftNode {
  readonly name: string;
  readonly url: string;
}

export interface Draft {
  readonly cluster: string;
  readonly nodes: readonly DraftNode[];
  readonly tables: readonly string[];
}

/** `n1=postgres://…` from a flag. Throws RepctlError (exit 2): `usage`, `url-invalid`, `password-in-flag`. */
export function parseNodeFlag(text: string): DraftNode {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals));
  if (equals === -1 || !NODE_NAME.test(name)) {
    throw new RepctlError('usage', '--node takes NAME=URL.', {
      hint: 'For example --node n1=postgres://repctl@db1:5432/shop; a name is lower-case letters, digits and _.',
    });
  }
  const url = text.slice(equals + 1).trim();
  if (hasPlainPassword(url)) {
    throw new RepctlError('password-in-flag', `${name}: a password is not accepted on the command line.`, {
      hint: [
        'Others can read it in the process list and in the shell history. Instead:',
        `  --node '${name}=postgres://user:\${PGPASSWORD_${name.toUpperCase()}}@host/database'  (single quotes)`,
        '  or no password in the URL, and PGPASSWORD or a line in ~/.pgpass.',
      ].join('\n'),
      details: { node: name },
    });
  }
  return { name, url };
}

/** Whether the URL spells a password out, rather than taking it from a variable or having none. */
function hasPlainPassword(url: string): boolean {
  const { password, sslpassword } = parseConninfo(url);
  return [password, sslpassword].some(
    (value) => value !== undefined && value.replaceAll(/\$\{\w+(?::-)?\}/gu, '') !== '',
  );
}

/** Puts a password into a URL or key=value string that has none; a `${VAR}` stays a reference. */
export function withPassword(url: string, password: string): string {
  if (password === '') return url;
  const reference = hasReference(password);
  const head = /^(postgres(?:ql)?:\/\/)(?:([^/?@]*)@)?(.*)$/su.exec(url.trim());
  if (!head) return `${url} password=${reference ? password : `'${password.replaceAll(/['\\]/gu, '\\$&')}'`}`;
  const [, scheme = '', user = '', rest = ''] = head;
  return `${scheme}${user}:${reference ? password : encodeURIComponent(password)}@${rest}`;
}

/** The text of repctl.yaml. */
export function draftText({ cluster, nodes, tables }: Draft): string {
  const body = stringify(
    { cluster, tables, nodes: Object.fromEntries(nodes.map(({ name, url }) => [name, { url }])) },
    { lineWidth: 0 },
  );
  return `# Cluster of repctl. \${VAR} is taken from the environment; PGPASSWORD and ~/.pgpass work as in psql.\n${body}`;
}

/** Where nothing can be asked, the flags must say it all. Throws RepctlError `not-interactive` (exit 6). */
export function assertComplete(given: {
  readonly cluster: string | undefined;
  readonly nodes: readonly unknown[];
}): void {
  const missing = [
    ...(given.cluster === undefined ? ['--cluster'] : []),
    ...(given.nodes.length === 0 ? ['--node'] : []),
  ];
  if (missing.length === 0) return;
  const verb = missing.length === 1 ? 'is' : 'are';
  throw new RepctlError(
    'not-interactive',
    `Nothing can be asked here, and ${missing.join(' and ')} ${verb} missing.`,
    {
      exit: EXIT.refused,
      hint: 'repctl init --cluster NAME --node n1=postgres://user@host:5432/database --node n2=…',
      details: { missing },
    },
  );
}

/** The refusal to replace a file without being told to. */
export const fileExists = (file: string): RepctlError =>
  new RepctlError('file-exists', `${file} is there already.`, {
    exit: EXIT.refused,
    hint: 'Replace it with --overwrite, or write another file with --output FILE.',
    details: { file },
  });
