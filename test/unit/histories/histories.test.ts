import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FAULTS } from '../../support/histories/faults.js';
import { type Event, generate } from '../../support/histories/generate.js';
import { commandsIn } from '../../support/histories/mend.js';

describe('commands in what repctl says', () => {
  it.each<[string, string[]]>([
    ['repctl rewire n3', ['rewire n3']],
    ['repctl rewire n3; repctl rewire n4', ['rewire n3', 'rewire n4']],
    [
      'repctl slot drop repctl_n2 --node n3, then repctl cluster create',
      ['slot drop repctl_n2 --node n3', 'cluster create'],
    ],
    ['repctl cluster create takes it down when no operation is under way', ['cluster create']],
    ['repctl check --node n4 shows rows that differ; set them right, or repctl subscription skip n4', []],
    ['repctl sync any 1', ['sync any 1']],
    ['Bring n3 back, or let commits go on without: repctl sync async', []],
    ['repctl failover without a name takes the most advanced replica.', ['failover']],
    [
      'repctl rewire n1 --recopy --accept-data-loss\nNothing was changed.',
      ['rewire n1 --recopy --accept-data-loss'],
    ],
  ])('%s', (text, expected) => {
    expect(commandsIn(text).map((one) => one.join(' '))).toEqual(expected);
  });
});

describe('a seed', () => {
  it('gives the same history every time', () => {
    const options = { commands: new Set(['failover', 'switchover', 'rejoin']) };
    for (let seed = 0; seed < 50; seed += 1) expect(generate(seed, options)).toEqual(generate(seed, options));
  });

  it('of two hundred has a big transaction in about every fifth, and waits for replicas in every fourth', () => {
    const commands = new Set(['failover', 'switchover', 'rejoin', 'sync']);
    const all = Array.from({ length: 200 }, (_, index) => generate(index + 1, { commands }).events);
    const having = (test: (event: Event) => boolean): number =>
      all.filter((events) => events.some(test)).length;
    expect(having((event) => event.do === 'big' && event.megabytes >= 64)).toBeGreaterThan(30);
    expect(having((event) => event.do === 'run' && event.command === 'sync any 1')).toBeGreaterThan(40);
  });
});

describe('planted faults', () => {
  it.each(FAULTS)('$name finds its place in the program, once', ({ edits }) => {
    for (const { file, find } of edits) {
      const text = readFileSync(path.resolve(import.meta.dirname, '../../..', file), 'utf8');
      expect(text.split(find).length - 1, `${file}: ${find}`).toBe(1);
    }
  });
});
