// doorbuster: how its shop is filled, bought from and asked.
import { Client, Unexpected, nextBuyer } from './client.mjs';

const PLENTY = 1_000_000;
const BUSY = [429, 503];

export function doorbuster({ url, sql, password, products }) {
  const client = new Client(url);
  const state = { skus: [], races: 0 };
  const staff = { authorization: `Bearer ${password}` };

  async function product(sku, units) {
    const made = await client.ask('POST', '/v1/admin/products', staff, {
      title: sku,
      slug: sku,
      description: `A ${sku} to buy.`,
      status: 'active',
      variants: [{ sku, prices: [{ amount: 1299, currency: 'GBP' }] }],
    });
    const stock = { sku, quantity: units, reason: 'received' };
    await client.ask('POST', '/v1/admin/stock/adjustments', staff, stock);
    return made.body;
  }

  /** What the shop has already is looked up; what it lacks is made. */
  async function prepare() {
    const names = Array.from({ length: products }, (_, n) => `mug-${n + 1}`);
    const first = await client.send('GET', `/v1/products/${names[0]}`);
    if (first.status === 404) for (const name of names) await product(name, PLENTY);
    state.skus = names;
  }

  async function cart(sku) {
    const number = nextBuyer();
    const begun = await client.ask('POST', '/v1/sessions', {}, {});
    const buyer = { authorization: `Bearer ${begun.body.token}` };
    await client.ask('POST', '/v1/cart/items', buyer, { sku, quantity: 1 });
    const address = {
      name: 'Ada Buyer',
      line1: '1 High Street',
      city: 'Leeds',
      postal_code: 'LS1 1AA',
      country: 'GB',
    };
    const email = `buyer-${number}@example.com`;
    await client.ask('PATCH', '/v1/cart', buyer, { email, shipping_address: address });
    // A buyer who comes again comes with the same key.
    return { ...buyer, 'idempotency-key': `journey-${number}` };
  }

  async function complete(buyer) {
    const body = { payment: { provider: 'manual' } };
    const answer = await client.send('POST', '/v1/cart/checkout', buyer, body);
    if (answer.status === 201) return { outcome: 'sold' };
    const why = answer.body?.code ?? String(answer.status);
    if (BUSY.includes(answer.status)) return { outcome: 'busy', why };
    if (why === 'out_of_stock') return { outcome: 'refused', why };
    throw new Unexpected('checkout', answer);
  }

  const any = (list) => list[Math.floor(Math.random() * list.length)];
  return {
    alive: () => client.ask('GET', '/readyz'),
    prepare,
    cart: () => cart(any(state.skus)),
    async prepareRace(units) {
      state.races += 1;
      const sku = `drop-${Date.now()}-${state.races}`;
      await product(sku, units);
      return { sku, cart: () => cart(sku) };
    },
    complete,
    async read() {
      const { body } = await client.ask('GET', `/v1/products/${any(state.skus)}`);
      if (!body.variants?.length) throw new Error('no such product');
    },
    /** Units of the drop that orders hold or have taken. */
    async soldUnits({ sku }) {
      const taken = `SELECT coalesce(sum(l.quantity), 0) FROM order_lines l
        JOIN orders o ON o.id = l.order_id
        WHERE l.sku = '${sku}' AND o.status NOT IN ('cancelled', 'expired')`;
      return Number(await sql(taken));
    },
    /** Orders in the database. */
    orders: async () => Number(await sql('SELECT count(*) FROM orders')),
    close: () => client.close(),
  };
}
