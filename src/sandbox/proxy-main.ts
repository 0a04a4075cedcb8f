/**
 * The proxy process: reads its routes as JSON from stdin, says `ready` or the error on stdout, then obeys
 * one JSON line a connection on its control port (127.0.0.1, with a secret). It runs until it is killed.
 */
import { timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import type { ProxyInfo } from './model.js';
import { type Passage, type Relay, openRelay } from './relay.js';

export type ProxyCommand =
  | { readonly action: 'status' }
  | {
      readonly action: 'set';
      readonly passage: Passage;
      /** `from>to` of each route. */
      readonly routes: readonly string[];
    }
  | {
      readonly action: 'delay';
      /** Milliseconds each way. */
      readonly ms: number;
      readonly routes: readonly string[];
    };

const sameSecret = (given: unknown, secret: string): boolean => {
  const [a, b] = [Buffer.from(typeof given === 'string' ? given : ''), Buffer.from(secret)];
  return a.length === b.length && timingSafeEqual(a, b);
};

function obey(relay: Relay, secret: string, line: string): unknown {
  const command = JSON.parse(line) as ProxyCommand & { secret?: unknown };
  if (!sameSecret(command.secret, secret)) return { error: 'wrong secret' };
  if (command.action === 'set') {
    const wanted = new Set(command.routes);
    relay.set(command.passage, (route) => wanted.has(`${route.from}>${route.to}`));
  }
  if (command.action === 'delay') {
    const wanted = new Set(command.routes);
    relay.delay(command.ms, (route) => wanted.has(`${route.from}>${route.to}`));
  }
  return { routes: relay.status() };
}

function control(relay: Relay, info: ProxyInfo): Promise<void> {
  const server = createServer((socket) => {
    let buffer = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      buffer += chunk.toString();
      if (buffer.length > 65_536) socket.destroy();
      if (!buffer.includes('\n')) return;
      let answer: unknown;
      try {
        answer = obey(relay, info.secret, buffer);
      } catch (error) {
        answer = { error: String(error) };
      }
      socket.end(`${JSON.stringify(answer)}\n`);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: info.controlPort }, resolve);
  });
}

// Ctrl-C in the terminal that started the sandbox is not meant for it.
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
try {
  const info = JSON.parse(await text(process.stdin)) as ProxyInfo;
  await control(await openRelay(info.routes), info);
  process.stdout.write('ready\n');
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
