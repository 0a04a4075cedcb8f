import { describe, expect, it } from 'vitest';
import { shapesIn } from '../../support/shape.js';
import { read, sources } from './files.js';

const shapes = shapesIn(read('docs/json.md'));

describe('docs/json.md', () => {
  const commands = sources('src/commands')
    .map(({ file }) => file.replace(/^src\/commands\//u, '').replace(/\.ts$/u, ''))
    .filter((file) => file !== 'help/index')
    .map((file) => file.replaceAll('/', ' '));

  it.each(commands)('has the shape of %s', (command) => {
    expect(shapes.get(command)).toBeDefined();
  });

  it('has the shape of errors', () => {
    expect(shapes.get('error')).toBeDefined();
  });
});
