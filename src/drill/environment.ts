/** What a figure was measured on. */
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import path from 'node:path';
import { programRoot } from './programs.js';
import type { Environment } from './result.js';

export function environmentOf(postgres: Environment['postgres']): Environment {
  const { version } = JSON.parse(readFileSync(path.join(programRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  const all = cpus();
  return {
    repctl: version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    cpus: all.length,
    cpu: all[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    postgres,
  };
}
