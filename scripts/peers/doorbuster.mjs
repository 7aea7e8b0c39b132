// doorbuster: how its shop is filled, bought from and asked.
import { Client, PLENTY, Unexpected, any, nextBuyer } from './client.mjs';

const BUSY = [429, 503];

export class Doorbuster {
  constructor({ url, sql, password, products }) {
    this.client = new Client(url);
    this.sql = sql;
    this.staff = { authorization: `Bearer ${password}` };
    this.skus = Array.from({ length: products }, (_, n) => `mug-${n + 1}`);
  }

  alive() {
    return this.client.ask('GET', '/readyz');
  }

  async product(sku, units) {
    await this.client.ask('POST', '/v1/admin/products', this.staff, {
      title: sku,
      slug: sku,
      description: `A ${sku} to buy.`,
      status: 'active',
      variants: [{ sku, prices: [{ amount: 1299, currency: 'GBP' }] }],
    });
    const stock = { sku, quantity: units, reason: 'received' };
    await this.client.ask('POST', '/v1/admin/stock/adjustments', this.staff, stock);
  }

  /** Fills a fresh shop. */
  async prepare() {
    for (const sku of this.skus) await this.product(sku, PLENTY);
  }

  async cart(sku = any(this.skus)) {
    const number = nextBuyer();
    const begun = await this.client.ask('POST', '/v1/sessions', {}, {});
    const buyer = { authorization: `Bearer ${begun.body.token}` };
    await this.client.ask('POST', '/v1/cart/items', buyer, { sku, quantity: 1 });
    const address = {
      name: 'Ada Buyer',
      line1: '1 High Street',
      city: 'Leeds',
      postal_code: 'LS1 1AA',
      country: 'GB',
    };
    const where = { email: `buyer-${number}@example.com`, shipping_address: address };
    await this.client.ask('PATCH', '/v1/cart', buyer, where);
    // A buyer who comes again comes with the same key.
    return { ...buyer, 'idempotency-key': `journey-${number}` };
  }

  async complete(buyer) {
    const body = { payment: { provider: 'manual' } };
    const answer = await this.client.send('POST', '/v1/cart/checkout', buyer, body);
    if (answer.status === 201) return { outcome: 'sold' };
    const why = answer.body?.code ?? String(answer.status);
    if (BUSY.includes(answer.status)) return { outcome: 'busy', why };
    if (why === 'out_of_stock') return { outcome: 'refused', why };
    throw new Unexpected('checkout', answer);
  }

  async prepareRace(units) {
    const sku = `drop-${nextBuyer()}`;
    await this.product(sku, units);
    return { sku, cart: () => this.cart(sku) };
  }

  async read() {
    const { body } = await this.client.ask('GET', `/v1/products/${any(this.skus)}`);
    if (!body.variants?.length) throw new Error('no such product');
  }

  /** Units of the drop that orders hold or have taken. */
  async soldUnits({ sku }) {
    const taken = `SELECT coalesce(sum(l.quantity), 0) FROM order_lines l
      JOIN orders o ON o.id = l.order_id
      WHERE l.sku = '${sku}' AND o.status NOT IN ('cancelled', 'expired')`;
    return Number(await this.sql(taken));
  }

  /** Orders in the database. */
  async orders() {
    return Number(await this.sql('SELECT count(*) FROM orders'));
  }

  close() {
    this.client.close();
  }
}
