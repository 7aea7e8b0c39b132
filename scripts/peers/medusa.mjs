// Medusa: how its shop is filled, bought from and asked.
import { Client, PLENTY, Unexpected, any, nextBuyer } from './client.mjs';

const COUNTRY = 'gb';
const PRODUCT_FIELDS = '*variants.calculated_price,+variants.inventory_quantity';

export class Medusa {
  constructor({ url, sql, password, products }) {
    this.client = new Client(url);
    this.sql = sql;
    this.password = password;
    this.count = products;
    this.variants = [];
    this.products = [];
  }

  async admin(method, path, body) {
    return (await this.client.ask(method, `/admin${path}`, this.staff, body)).body;
  }

  async store(method, path, body) {
    return (await this.client.ask(method, `/store${path}`, this.key, body)).body;
  }

  alive() {
    return this.client.ask('GET', '/health');
  }

  /** Fills a fresh shop. */
  async prepare() {
    const user = { email: 'admin@example.com', password: this.password };
    const { body } = await this.client.ask('POST', '/auth/user/emailpass', {}, user);
    this.staff = { authorization: `Bearer ${body.token}` };
    await this.channelAndKey();
    await this.regionAndTax();
    await this.shipping(await this.warehouse());
    for (let n = 1; n <= this.count; n += 1) {
      const { id, variant } = await this.product(`mug-${n}`, PLENTY);
      this.products.push(id);
      this.variants.push(variant);
    }
  }

  /** The channel that sells, and the key that storefronts send. */
  async channelAndKey() {
    const channel = { name: 'Storefront' };
    this.channel = (await this.admin('POST', '/sales-channels', channel)).sales_channel.id;
    const wanted = { title: 'Storefront', type: 'publishable' };
    const key = (await this.admin('POST', '/api-keys', wanted)).api_key;
    await this.admin('POST', `/api-keys/${key.id}/sales-channels`, { add: [this.channel] });
    this.key = { 'x-publishable-api-key': key.token };
  }

  async regionAndTax() {
    const { stores } = await this.admin('GET', '/stores');
    await this.admin('POST', `/stores/${stores[0].id}`, {
      supported_currencies: [{ currency_code: 'gbp', is_default: true }],
      default_sales_channel_id: this.channel,
    });
    const made = await this.admin('POST', '/regions', {
      name: 'United Kingdom',
      currency_code: 'gbp',
      countries: [COUNTRY],
      payment_providers: ['pp_system_default'],
    });
    this.region = made.region.id;
    await this.admin('POST', '/tax-regions', {
      country_code: COUNTRY,
      provider_id: 'tp_system',
      default_tax_rate: { name: 'None', code: 'none', rate: 0 },
    });
  }

  /** Where the stock lies; the zone that parcels go to from there. */
  async warehouse() {
    const address = { address_1: '1 Dock', city: 'Leeds', country_code: COUNTRY };
    const made = await this.admin('POST', '/stock-locations', { name: 'Warehouse', address });
    this.location = made.stock_location.id;
    const path = `/stock-locations/${this.location}`;
    await this.admin('POST', `${path}/sales-channels`, { add: [this.channel] });
    await this.admin('POST', `${path}/fulfillment-providers`, { add: ['manual_manual'] });
    await this.admin('POST', `${path}/fulfillment-sets`, { name: 'Parcels', type: 'shipping' });
    const { stock_location: found } = await this.admin('GET', `${path}?fields=*fulfillment_sets`);
    const sets = `/fulfillment-sets/${found.fulfillment_sets[0].id}`;
    const zones = await this.admin('POST', `${sets}/service-zones`, {
      name: 'United Kingdom',
      geo_zones: [{ type: 'country', country_code: COUNTRY }],
    });
    return zones.fulfillment_set.service_zones[0].id;
  }

  async shipping(zone) {
    const { shipping_profiles: profiles } = await this.admin('GET', '/shipping-profiles');
    const wanted = { name: 'Default', type: 'default' };
    this.profile =
      profiles[0]?.id ??
      (await this.admin('POST', '/shipping-profiles', wanted)).shipping_profile.id;
    const made = await this.admin('POST', '/shipping-options', {
      name: 'Standard',
      service_zone_id: zone,
      shipping_profile_id: this.profile,
      provider_id: 'manual_manual',
      price_type: 'flat',
      type: { label: 'Standard', description: 'In two days.', code: 'standard' },
      prices: [{ region_id: this.region, amount: 0 }],
      rules: [
        { attribute: 'enabled_in_store', value: 'true', operator: 'eq' },
        { attribute: 'is_return', value: 'false', operator: 'eq' },
      ],
    });
    this.option = made.shipping_option.id;
  }

  async product(name, units) {
    const path = '/products?fields=*variants,*variants.inventory_items';
    const { product } = await this.admin('POST', path, {
      title: name,
      handle: name,
      description: `A ${name} to buy.`,
      status: 'published',
      shipping_profile_id: this.profile,
      sales_channels: [{ id: this.channel }],
      options: [{ title: 'Size', values: ['One'] }],
      variants: [
        {
          title: name,
          sku: name,
          options: { Size: 'One' },
          manage_inventory: true,
          allow_backorder: false,
          prices: [{ currency_code: 'gbp', amount: 12.99 }],
        },
      ],
    });
    const variant = product.variants[0];
    const item = variant.inventory_items[0].inventory_item_id;
    const level = { location_id: this.location, stocked_quantity: units };
    await this.admin('POST', `/inventory-items/${item}/location-levels`, level);
    return { id: product.id, variant: variant.id, item };
  }

  async cart(variant = any(this.variants)) {
    const number = nextBuyer();
    const { cart } = await this.store('POST', '/carts', { region_id: this.region });
    const path = `/carts/${cart.id}`;
    await this.store('POST', `${path}/line-items`, { variant_id: variant, quantity: 1 });
    const address = {
      first_name: 'Ada',
      last_name: 'Buyer',
      address_1: '1 High Street',
      city: 'Leeds',
      postal_code: 'LS1 1AA',
      country_code: COUNTRY,
    };
    const where = { email: `buyer-${number}@example.com`, shipping_address: address };
    await this.store('POST', path, where);
    await this.store('POST', `${path}/shipping-methods`, { option_id: this.option });
    const payment = await this.store('POST', '/payment-collections', { cart_id: cart.id });
    const sessions = `/payment-collections/${payment.payment_collection.id}/payment-sessions`;
    await this.store('POST', sessions, { provider_id: 'pp_system_default' });
    return { id: cart.id };
  }

  async complete({ id }) {
    const answer = await this.client.send('POST', `/store/carts/${id}/complete`, this.key, {});
    const { status, body } = answer;
    if (status === 200 && body.type === 'order') return { outcome: 'sold' };
    const why = body?.error?.message ?? body?.message ?? JSON.stringify(body);
    // A lock that did not come free within its five seconds: the answer asks to come again.
    if (status === 409) return { outcome: 'busy', why };
    if (status < 500 && /not enough|inventory|stock/i.test(why)) {
      return { outcome: 'refused', why: why.replace(/(iitem|sloc)_\w+/g, '…') };
    }
    throw new Unexpected('complete', answer);
  }

  async prepareRace(units) {
    const { item, variant } = await this.product(`drop-${nextBuyer()}`, units);
    return { item, cart: () => this.cart(variant) };
  }

  async read() {
    const query = `fields=${PRODUCT_FIELDS}&region_id=${this.region}`;
    const path = `/products/${any(this.products)}?${query}`;
    const { product } = await this.store('GET', path);
    if (!product?.variants?.length) throw new Error('no such product');
  }

  /** Units of the drop that are reserved for orders. */
  async soldUnits({ item }) {
    const reserved = `SELECT coalesce(sum(quantity), 0) FROM reservation_item
      WHERE inventory_item_id = '${item}' AND deleted_at IS NULL`;
    return Number(await this.sql(reserved));
  }

  /** Orders in the database. */
  async orders() {
    return Number(await this.sql('SELECT count(*) FROM "order"'));
  }

  close() {
    this.client.close();
  }
}
