/** The one place where what PostgreSQL or the network says becomes a RepctlError. */
import type pg from 'pg';
import { EXIT, RepctlError, messageOf } from '../errors.js';

export interface ErrorContext {
  node: string;
  phase: 'connect' | 'query';
  connection?: pg.ClientConfig;
}

/** The server's own error, also through a RepctlError. */
function serverError(error: unknown): pg.DatabaseError | undefined {
  if (error instanceof RepctlError) return serverError(error.cause);
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (error as object)
    ? (error as pg.DatabaseError)
    : undefined;
}

/** The SQLSTATE of an error that came from a server, also through a RepctlError. */
export function sqlStateOf(error: unknown): string | undefined {
  const state = error instanceof RepctlError ? error.details['sqlstate'] : undefined;
  return typeof state === 'string' ? state : serverError(error)?.code;
}

/**
 * Class 08 is also what a server says whose own connection failed, to the leader in CREATE SUBSCRIPTION or to a foreign
 * server: an ERROR, after which the session goes on. Poolers say it of ours, as FATAL or 08P01 (protocol_violation).
 */
const isOurs = (error: unknown): boolean => {
  const { code, severity } = serverError(error) ?? {};
  return code === '08P01' || severity === 'FATAL' || severity === 'PANIC';
};

/** Whether the error means that the connection (not the statement) failed. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state?.startsWith('08')) return isOurs(error);
  if (state !== undefined) return ['57P01', '57P02', '57P03', '57P05'].includes(state);
  return error instanceof RepctlError && ['node-unreachable', 'connection-lost'].includes(error.code);
}

/** What to do about a TLS connection that did not come about; undefined for any other error. */
function tlsHint(message: string, code: unknown): string | undefined {
  if (message.includes('does not support SSL'))
    return 'Turn ssl on there, or accept plain text: add ?sslmode=disable to the URL of this node.';
  if (typeof code !== 'string' || !/CERT|^ERR_(?:TLS|SSL)|UNABLE_TO_(?:GET|VERIFY)/u.test(code))
    return undefined;
  return 'Name the authority: sslrootcert=FILE in the URL or PGSSLROOTCERT; or encrypt unverified: sslmode=require.';
}

/** PostgreSQL's own words plus DETAIL, on one line each; never the statement. */
function serverMessage(error: pg.DatabaseError): string {
  return error.detail ? `${error.message} (${error.detail})` : error.message;
}

/** Anything a client library throws → a RepctlError that names the node. A RepctlError passes unchanged. */
export function translateError(error: unknown, context: ErrorContext): RepctlError {
  if (error instanceof RepctlError) return error;
  const { node, connection } = context;
  const where = connection ? ` at ${connection.host ?? 'localhost'}:${String(connection.port ?? 5432)}` : '';
  const state = sqlStateOf(error);
  const details: Record<string, unknown> = { node, ...(state ? { sqlstate: state } : {}) };
  if (state === undefined) {
    const code = (error as { code?: unknown } | null)?.code;
    const lost = context.phase === 'query';
    const tls = tlsHint(messageOf(error), code);
    if (tls !== undefined && !lost) {
      return new RepctlError('tls-failed', `${node}${where}: no secure connection: ${messageOf(error)}`, {
        exit: EXIT.unreachable,
        details,
        hint: tls,
        cause: error,
      });
    }
    return new RepctlError(
      lost ? 'connection-lost' : 'node-unreachable',
      lost
        ? `${node}: the connection was lost: ${messageOf(error)}`
        : `${node}${where} cannot be reached: ${messageOf(error) || String(code)}`,
      { exit: EXIT.unreachable, details, hint: 'repctl status', cause: error },
    );
  }
  const server = error as pg.DatabaseError;
  const text = serverMessage(server);
  const make = (code: string, message: string, exit: (typeof EXIT)[keyof typeof EXIT], hint?: string) =>
    new RepctlError(code, message, { exit, details, cause: error, ...(hint ? { hint } : {}) });
  switch (state) {
    case '28P01':
    case '28000':
      return make(
        'auth-failed',
        `${node}${where} refused the login: ${text}`,
        EXIT.unreachable,
        'Check the user and password of this node in the configuration, PGPASSWORD or .pgpass.',
      );
    case '3D000':
      return make(
        'database-missing',
        `${node}${where}: ${text}`,
        EXIT.unreachable,
        'Check the database name in the URL.',
      );
    case '57P03':
      return make(
        'node-starting',
        `${node}${where} is not ready: ${text}`,
        EXIT.unreachable,
        'Try again in a moment.',
      );
    case '53300':
      return make(
        'too-many-connections',
        `${node}${where}: ${text}`,
        EXIT.unreachable,
        'Raise max_connections or close clients.',
      );
    case '42501':
      return make(
        'privilege-missing',
        `${node}: ${text}`,
        EXIT.refused,
        'repctl doctor names the GRANT that is missing.',
      );
    case '25006':
      return make('node-fenced', `${node}: ${text}`, EXIT.refused, 'repctl status shows the leader.');
    case '57014':
      return make(
        'statement-timeout',
        `${node}: ${text}`,
        EXIT.incomplete,
        'Raise --timeout, or look for locks: repctl doctor.',
      );
    case '55P03':
      return make(
        'lock-timeout',
        `${node}: ${text}`,
        EXIT.incomplete,
        'A lock is held by another session: repctl doctor.',
      );
    default:
      if (state.startsWith('08') && !isOurs(error))
        return make(
          'way-lost',
          `${node} got no connection to another server: ${text}`,
          EXIT.unreachable,
          'repctl doctor tries the way from each node to each other one.',
        );
      return make(
        state.startsWith('08') || state.startsWith('57P') ? 'connection-lost' : 'sql-error',
        `${node}: ${text}`,
        state.startsWith('08') || state.startsWith('57P') ? EXIT.unreachable : EXIT.usage,
        server.hint,
      );
  }
}
