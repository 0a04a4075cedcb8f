/** Reference services as processes of a drill: started, killed. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT, RepctlError } from '../../errors.js';
import type { Children } from '../children.js';
import { programFile } from '../programs.js';
import type { ServiceTask } from './main.js';

export interface Services {
  /** In the order of their numbers, from 1. */
  readonly urls: readonly string[];
  /** SIGKILL; returns when it is gone. Throws `service-not-ours` (exit 6) for one that the drill did not start. */
  kill(number: number): Promise<void>;
  stop(): void;
}

/** Throws `service-failed` where one ends before it listens. */
export async function startServices(children: Children, count: number, task: ServiceTask): Promise<Services> {
  const started = await Promise.all(
    Array.from({ length: count }, async () => {
      const child = children.start(programFile('dist/drill/service/main.js'), []);
      let stderr = '';
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
      const url = await new Promise<string>((resolve, reject) => {
        if (child.stdout !== null)
          createInterface({ input: child.stdout }).once('line', (line) => {
            resolve((JSON.parse(line) as { url: string }).url);
          });
        child.once('close', () => {
          reject(new RepctlError('service-failed', `The web service ended by itself: ${stderr.trim()}`));
        });
        child.stdin?.write(`${JSON.stringify(task)}\n`);
      });
      return { child, url };
    }),
  );
  return {
    urls: started.map(({ url }) => url),
    async kill(number) {
      const child = started[number - 1]?.child;
      if (child?.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'close');
      child.kill('SIGKILL');
      await gone;
    },
    stop() {
      for (const { child } of started) child.stdin?.end();
    },
  };
}

/** So long a user may take to start his own. */
const START_MS = 300_000;
const ASK_AGAIN_MS = 500;

/**
 * Returns when each URL answers as the products API does; tells what the service must be given until then. Throws
 * `service-silent` (exit 3), `interrupted`.
 */
export async function awaitServices(
  urls: readonly string[],
  configFile: string,
  tell: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (const url of urls) {
    for (let told = false; !(await answers(url)); told = true) {
      if (!told) tell(`waiting for ${url}; the databases that it is to use are in ${configFile}`);
      if (Date.now() > deadline)
        throw new RepctlError('service-silent', `${url} does not answer GET /products with a list.`, {
          exit: EXIT.unreachable,
          hint: 'docs/drill.md has the few requests that a service must answer.',
        });
      await delay(ASK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) throw new RepctlError('interrupted', 'Interrupted.', { exit: EXIT.interrupted });
    }
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url.replace(/\/$/u, '')}/products?prefix=D-&limit=1`, {
      signal: AbortSignal.timeout(5000),
    });
    const { products, total } = (await response.json()) as { products?: unknown; total?: unknown };
    return response.ok && Array.isArray(products) && typeof total === 'number';
  } catch {
    return false;
  }
}

/** Services of the user's own, which no drill kills. */
export const servicesAt = (urls: readonly string[]): Services => ({
  urls,
  kill: () => Promise.reject(notOurs()),
  stop: () => undefined,
});

export const notOurs = (): RepctlError =>
  new RepctlError('service-not-ours', 'A web service that the drill did not start is not killed.', {
    exit: EXIT.refused,
    hint: 'Nothing was started. Run this drill without --http, or another one.',
  });
