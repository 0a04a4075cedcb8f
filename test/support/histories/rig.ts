/** What a file of histories needs while its tests run: servers, and the program. */
import { afterAll, beforeAll } from 'vitest';
import { type Program, buildProgram } from './program.js';
import { type Stage, startStage } from './stage.js';

export interface Rig {
  readonly stage: Stage;
  readonly program: Program;
}

/** Called once, in a `describe`; what it returns may be called in its tests. */
export function rig(): () => Rig {
  const made: { stage?: Stage; program?: Program } = {};
  beforeAll(async () => {
    made.program = await buildProgram();
    made.stage = await startStage();
  });
  afterAll(async () => {
    made.program?.remove();
    await made.stage?.down();
  });
  return () => {
    const { stage, program } = made;
    if (stage === undefined || program === undefined) throw new Error('the rig is not up');
    return { stage, program };
  };
}
