/** Of its own file, which is loaded when it is wanted: it takes its time (./early.ts). */
export { Errors, flush, run } from '@oclif/core';
