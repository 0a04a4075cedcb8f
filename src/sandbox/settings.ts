/** What is written into a sandbox server's data directory. Pure: text in, text out. */

export interface ServerSettings {
  port: number;
  major: string;
  /** Further or other settings, such as `max_replication_slots: '5'`. */
  extra?: Readonly<Record<string, string>>;
}

/** The file that postgresql.conf includes last. */
export function serverConf({ port, major, extra = {} }: ServerSettings): string {
  const settings: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    // No socket file to leave behind, and no limit of 100 characters on the sandbox's path.
    unix_socket_directories: '',
    password_encryption: 'scram-sha-256',
    wal_level: 'logical',
    max_connections: '120',
    max_wal_senders: '30',
    max_replication_slots: '30',
    max_worker_processes: '32',
    max_logical_replication_workers: '16',
    max_prepared_transactions: '10',
    // A dead peer is noticed in seconds, and a worker whose leader is back asks again at once.
    wal_sender_timeout: '5s',
    wal_receiver_timeout: '5s',
    wal_receiver_status_interval: '1s',
    wal_retrieve_retry_interval: '200ms',
    shared_buffers: '32MB',
    // In the data directory, so that a killed server leaves nothing in /dev/shm.
    dynamic_shared_memory_type: 'mmap',
    jit: 'off',
    log_line_prefix: '%m [%p] %q%u@%d %a ',
    // Four servers on one machine: their three I/O workers each (18) would only be more processes.
    ...(Number(major) >= 18 ? { io_method: 'sync' } : {}),
    ...extra,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  return `# Written by repctl sandbox; rewritten by it.\n${lines.join('\n')}\n`;
}

/** A password for everybody, loopback only. */
export const PG_HBA = `# Written by repctl sandbox.
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
`;

/** The arguments of initdb: bytewise order everywhere, Unicode case mapping where a major brings its own (17+). */
export function initdbArguments(
  major: string,
  dataDirectory: string,
  passwordFile: string,
  superuser: string,
): string[] {
  const locale = Number(major) >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : [];
  return [
    `--pgdata=${dataDirectory}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    ...locale,
    '--no-sync',
    '--no-instructions',
  ];
}
