/** Realistic products, the same for the same seed on every machine, and a fast way to load them. */
// Imported statically: in the bundle a dynamic import of this CommonJS package has no named exports.
import { from as copyFrom } from 'pg-copy-streams';
import { Readable } from 'node:stream';
import { copyPipeline } from '../postgres/copy.js';
import type { Session } from '../postgres/session.js';
import { qualified } from '../postgres/quote.js';
import { copyRow } from './copy-text.js';
import { randomFrom } from '../random.js';
import { PRODUCTS } from './schema.js';

export interface SeedProduct {
  readonly sku: string;
  readonly name: string;
  readonly description: string | null;
  /** Decimal text, two digits. */
  readonly price: string;
  readonly currency: string;
  readonly stock: number;
  readonly attributes: Readonly<Record<string, unknown>>;
}

const KINDS = [
  { code: 'MUG', names: ['Mug', 'Caneca', 'Tasse', 'マグカップ'], base: 9, category: 'kitchen' },
  {
    code: 'LMP',
    names: ['Desk lamp', 'Luminária', 'Schreibtischlampe', '台灯'],
    base: 45,
    category: 'light',
  },
  { code: 'CHR', names: ['Chair', 'Cadeira', 'Stuhl', 'Стул'], base: 120, category: 'furniture' },
  { code: 'BAG', names: ['Backpack', 'Mochila', 'Rucksack', 'Sac à dos'], base: 60, category: 'travel' },
  { code: 'PEN', names: ['Fountain pen', 'Caneta', 'Füller', 'Πένα'], base: 25, category: 'office' },
  { code: 'KBD', names: ['Keyboard', 'Teclado', 'Tastatur', '键盘'], base: 80, category: 'computer' },
  { code: 'TEA', names: ['Green tea', 'Chá verde', 'Grüner Tee', '緑茶 🍵'], base: 6, category: 'food' },
  {
    code: 'BIK',
    names: ['Bicycle bell', 'Campainha', 'Fahrradklingel', 'Sonnette vélo'],
    base: 14,
    category: 'sport',
  },
] as const;
const STYLES = [
  'Classic',
  'Compact',
  'Nordic',
  'Ébène',
  'São Paulo',
  'Zürich',
  'Señorita',
  'Øresund',
  '"Pro"',
  "Maker's",
];
const COLOURS = ['black', 'white', 'red', 'blue', 'green', 'ochre'];
const MATERIALS = ['steel', 'oak', 'cotton', 'ceramic', 'recycled PET'];
const CURRENCIES = ['EUR', 'EUR', 'EUR', 'USD', 'BRL', 'GBP'];

/** `count` products, one at a time; the nth depends on `seed` and on n only through its predecessors. */
export function* seedProducts(count: number, seed = 1): Generator<SeedProduct> {
  const next = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)] as T;
  for (let index = 1; index <= count; index += 1) {
    const kind = pick(KINDS);
    const style = pick(STYLES);
    const colour = pick(COLOURS);
    const name = `${pick(kind.names)} ${style}`;
    const attributes: Record<string, unknown> = {
      category: kind.category,
      colour,
      weightGrams: Math.round(50 + next() * 5000),
      ...(next() < 0.5 ? { material: pick(MATERIALS) } : {}),
      ...(next() < 0.3 ? { tags: [pick(COLOURS), style.toLowerCase()] } : {}),
    };
    yield {
      sku: `${kind.code}-${String(index).padStart(7, '0')}`,
      name,
      description:
        next() < 0.8
          ? `${name}, ${colour}. ${'Made to last. '.repeat(1 + Math.floor(next() * 3)).trim()}`
          : null,
      price: (kind.base * (0.5 + next() * 2)).toFixed(2),
      currency: pick(CURRENCIES),
      stock: Math.floor(next() * 500),
      attributes,
    };
  }
}

const CHUNK_ROWS = 500;

function* seedCopyText(count: number, seed: number): Generator<string> {
  let chunk = '';
  let rows = 0;
  for (const product of seedProducts(count, seed)) {
    const { sku, name, description, price, currency, stock, attributes } = product;
    chunk += copyRow([sku, name, description, price, currency, String(stock), JSON.stringify(attributes)]);
    rows += 1;
    if (rows % CHUNK_ROWS === 0) {
      yield chunk;
      chunk = '';
    }
  }
  if (chunk !== '') yield chunk;
}

/** Loads `count` seeded products through COPY, in one transaction. Memory does not grow with `count`. */
export async function loadSeed(session: Session, count: number, seed = 1): Promise<number> {
  return session.transaction(async () => {
    await session.query('set local statement_timeout = 0');
    const stream = session.client.query(
      copyFrom(
        `copy ${qualified(PRODUCTS)} (sku, name, description, price, currency, stock, attributes) from stdin`,
      ),
    );
    await copyPipeline(session, [Readable.from(seedCopyText(count, seed)), stream]);
    return stream.rowCount;
  });
}
