#!/usr/bin/env node
import module from 'node:module';

// Node 22.1+ keeps compiled code between runs; Node 20 has no such call and starts a little slower.
module.enableCompileCache?.();
const { main } = await import('../dist/main.js');
await main(process.argv.slice(2));
