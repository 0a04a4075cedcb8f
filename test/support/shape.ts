/**
 * The shape of JSON: values become the names of their types, so that a shape can be written down, merged from
 * several answers and held against a new one. docs/json.md is written in this notation.
 *
 *   string number boolean null lsn time any     a type; `number | null` is either
 *   [shape]                                     a list of such elements
 *   { "key": shape, "key?": shape, "*": shape } keys that are there, may be there, and all other keys
 *   { "key | null": {…} }                       an object or null
 */
export type Shape = string | Shape[] | { [key: string]: Shape };

const LSN = /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/u;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/u;

/** Values → type names; the elements of a list are merged into one shape. */
export function shapeOf(value: unknown): Shape {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? [] : [value.map(shapeOf).reduce(mergeShapes)];
  if (typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => [key, shapeOf(item)]),
    );
  }
  if (typeof value !== 'string') return typeof value;
  return LSN.test(value) ? 'lsn' : TIME.test(value) ? 'time' : 'string';
}

/** The shape that both values have. */
export function mergeShapes(a: Shape, b: Shape): Shape {
  if (Array.isArray(a) && Array.isArray(b)) {
    const all = [...a, ...b];
    return all.length === 0 ? [] : [all.reduce(mergeShapes)];
  }
  if (isObject(a) && isObject(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)].map(plain))];
    return Object.fromEntries(
      keys.map((key) => {
        const left = a[key] ?? a[`${key}?`];
        const right = b[key] ?? b[`${key}?`];
        const optional = a[key] === undefined || b[key] === undefined;
        return [
          optional ? `${key}?` : key,
          left === undefined ? (right ?? 'any') : right === undefined ? left : mergeShapes(left, right),
        ];
      }),
    );
  }
  const types = new Set(
    [a, b].flatMap((shape) => (typeof shape === 'string' ? shape.split(' | ') : ['any'])),
  );
  return types.has('any') ? 'any' : [...types].sort().join(' | ');
}

/** Where the value does not have the shape, as `path: what is wrong`; empty when it has. */
export function mismatches(value: unknown, shape: Shape, path = '$'): string[] {
  if (typeof shape === 'string') {
    const types = shape.split(' | ');
    const actual = shapeOf(value);
    if (types.includes('any')) return [];
    if (typeof actual !== 'string') return [`${path}: is ${kind(value)}, not ${shape}`];
    // An LSN or a time is a string too; a plain string is neither.
    const fits =
      types.includes(actual) || ((actual === 'lsn' || actual === 'time') && types.includes('string'));
    return fits ? [] : [`${path}: is ${actual}, not ${shape}`];
  }
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return [`${path}: is ${kind(value)}, not a list`];
    const [element] = shape;
    if (element === undefined) return value.length === 0 ? [] : [`${path}: is not empty`];
    return value.flatMap((item, index) => mismatches(item, element, `${path}[${String(index)}]`));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [`${path}: is ${kind(value)}, not an object`];
  const known = new Map(
    Object.entries(shape).map(([key, item]) => [
      plain(key),
      { item, optional: key.includes('?'), nullable: key.endsWith(' | null') },
    ]),
  );
  const rest = shape['*'];
  const problems: string[] = [];
  for (const [key, item] of Object.entries(value) as [string, unknown][]) {
    if (item === undefined) continue;
    if (item === null && known.get(key)?.nullable === true) continue;
    const expected = known.get(key)?.item ?? rest;
    if (expected === undefined) problems.push(`${path}.${key}: is not in docs/json.md`);
    else problems.push(...mismatches(item, expected, `${path}.${key}`));
  }
  for (const [key, { optional }] of known)
    if (!optional && key !== '*' && (value as Record<string, unknown>)[key] === undefined)
      problems.push(`${path}.${key}: is missing`);
  return problems;
}

const plain = (key: string): string => key.replace(/\??(?: \| null)?$/u, '');
const isObject = (shape: Shape): shape is Record<string, Shape> =>
  typeof shape === 'object' && !Array.isArray(shape);
const kind = (value: unknown): string =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'a list'
      : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;

/** The shapes in a Markdown text: each ```json block below a heading "### `command`". */
export function shapesIn(markdown: string): ReadonlyMap<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const match of markdown.matchAll(/^###? `([^`]+)`[^\n]*\n(?:(?!^##)[^])*?^```json\n([^]*?)^```/gmu))
    for (const name of (match[1] ?? '').split(', ')) shapes.set(name, JSON.parse(match[2] ?? '') as Shape);
  return shapes;
}
