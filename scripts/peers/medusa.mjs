// Medusa: how its shop is filled, bought from and asked.
import { Client, Unexpected, nextBuyer } from './client.mjs';

const PLENTY = 1_000_000;
const COUNTRY = 'gb';
const PRODUCT_FIELDS = '*variants.calculated_price,+variants.inventory_quantity';

export function medusa({ url, sql, password, products }) {
  const client = new Client(url);
  const state = { variants: [], products: [], admin: {}, store: {}, races: 0 };

  const admin = async (method, path, body) =>
    (await client.ask(method, `/admin${path}`, state.admin, body)).body;
  const store = async (method, path, body) =>
    (await client.ask(method, `/store${path}`, state.store, body)).body;

  async function login() {
    const user = { email: 'admin@example.com', password };
    const { body } = await client.ask('POST', '/auth/user/emailpass', {}, user);
    state.admin = { authorization: `Bearer ${body.token}` };
  }

  /** Where it is sold, in which money, and the key that storefronts send. */
  async function channelAndRegion() {
    const channel = { name: 'Storefront' };
    state.channel = (await admin('POST', '/sales-channels', channel)).sales_channel.id;
    const key = (await admin('POST', '/api-keys', { title: 'Storefront', type: 'publishable' }))
      .api_key;
    await admin('POST', `/api-keys/${key.id}/sales-channels`, { add: [state.channel] });
    const { stores } = await admin('GET', '/stores');
    await admin('POST', `/stores/${stores[0].id}`, {
      supported_currencies: [{ currency_code: 'gbp', is_default: true }],
      default_sales_channel_id: state.channel,
    });
    await admin('POST', '/regions', {
      name: 'United Kingdom',
      currency_code: 'gbp',
      countries: [COUNTRY],
      payment_providers: ['pp_system_default'],
    });
    await admin('POST', '/tax-regions', {
      country_code: COUNTRY,
      provider_id: 'tp_system',
      default_tax_rate: { name: 'None', code: 'none', rate: 0 },
    });
  }

  /** Where it lies, and how it gets to the buyer. */
  async function locationAndShipping() {
    const address = { address_1: '1 Dock', city: 'Leeds', country_code: COUNTRY };
    const made = await admin('POST', '/stock-locations', { name: 'Warehouse', address });
    const location = `/stock-locations/${made.stock_location.id}`;
    await admin('POST', `${location}/sales-channels`, { add: [state.channel] });
    await admin('POST', `${location}/fulfillment-providers`, { add: ['manual_manual'] });
    await admin('POST', `${location}/fulfillment-sets`, { name: 'Parcels', type: 'shipping' });
    const sets = await admin('GET', `${location}?fields=*fulfillment_sets`);
    const set = sets.stock_location.fulfillment_sets[0].id;
    const zones = await admin('POST', `/fulfillment-sets/${set}/service-zones`, {
      name: 'United Kingdom',
      geo_zones: [{ type: 'country', country_code: COUNTRY }],
    });
    const { regions } = await admin('GET', '/regions?name=United%20Kingdom');
    const profile = await shippingProfile();
    await admin('POST', '/shipping-options', {
      name: 'Standard',
      service_zone_id: zones.fulfillment_set.service_zones[0].id,
      shipping_profile_id: profile,
      provider_id: 'manual_manual',
      price_type: 'flat',
      type: { label: 'Standard', description: 'In two days.', code: 'standard' },
      prices: [{ region_id: regions[0].id, amount: 0 }],
      rules: [
        { attribute: 'enabled_in_store', value: 'true', operator: 'eq' },
        { attribute: 'is_return', value: 'false', operator: 'eq' },
      ],
    });
  }

  async function shippingProfile() {
    const { shipping_profiles: profiles } = await admin('GET', '/shipping-profiles');
    if (profiles.length > 0) return profiles[0].id;
    const wanted = { name: 'Default', type: 'default' };
    return (await admin('POST', '/shipping-profiles', wanted)).shipping_profile.id;
  }

  async function product(name, units) {
    const made = await admin('POST', '/products?fields=*variants,*variants.inventory_items', {
      title: name,
      handle: name,
      description: `A ${name} to buy.`,
      status: 'published',
      shipping_profile_id: state.profile,
      sales_channels: [{ id: state.channel }],
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
    const variant = made.product.variants[0];
    const item = variant.inventory_items[0].inventory_item_id;
    const level = { location_id: state.location, stocked_quantity: units };
    await admin('POST', `/inventory-items/${item}/location-levels`, level);
    return { variant: variant.id, item };
  }

  /** The ids of what the shop has. */
  async function lookUp() {
    const channels = (await admin('GET', '/sales-channels?name=Storefront')).sales_channels;
    state.channel = channels[0].id;
    state.location = (await admin('GET', '/stock-locations')).stock_locations[0].id;
    state.profile = await shippingProfile();
    state.region = (await admin('GET', '/regions?name=United%20Kingdom')).regions[0].id;
    state.option = (await admin('GET', '/shipping-options')).shipping_options[0].id;
    const keys = (await admin('GET', '/api-keys?type=publishable&limit=50')).api_keys;
    const key = keys.find((one) => one.title === 'Storefront');
    state.store = { 'x-publishable-api-key': key.token };
  }

  /** What the shop has already is looked up; what it lacks is made. */
  async function prepare() {
    await login();
    const { regions } = await admin('GET', '/regions?name=United%20Kingdom');
    const isFresh = regions.length === 0;
    if (isFresh) {
      await channelAndRegion();
      await locationAndShipping();
    }
    await lookUp();
    if (isFresh) {
      for (let n = 1; n <= products; n += 1) await product(`mug-${n}`, PLENTY);
    }
    const list = await admin('GET', '/products?limit=500&fields=id,handle,*variants');
    const mugs = list.products.filter((one) => one.handle.startsWith('mug-'));
    state.products = mugs.map((one) => one.id);
    state.variants = mugs.map((one) => one.variants[0].id);
  }

  async function cart(variant) {
    const number = nextBuyer();
    const begun = await store('POST', '/carts', { region_id: state.region });
    const path = `/carts/${begun.cart.id}`;
    await store('POST', `${path}/line-items`, { variant_id: variant, quantity: 1 });
    const address = {
      first_name: 'Ada',
      last_name: 'Buyer',
      address_1: '1 High Street',
      city: 'Leeds',
      postal_code: 'LS1 1AA',
      country_code: COUNTRY,
    };
    const email = `buyer-${number}@example.com`;
    await store('POST', path, { email, shipping_address: address });
    await store('POST', `${path}/shipping-methods`, { option_id: state.option });
    const payment = await store('POST', '/payment-collections', { cart_id: begun.cart.id });
    const sessions = `/payment-collections/${payment.payment_collection.id}/payment-sessions`;
    await store('POST', sessions, { provider_id: 'pp_system_default' });
    return { id: begun.cart.id };
  }

  async function complete({ id }) {
    const path = `/store/carts/${id}/complete`;
    const answer = await client.send('POST', path, state.store, {});
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

  const any = (list) => list[Math.floor(Math.random() * list.length)];
  return {
    alive: () => client.ask('GET', '/health'),
    prepare,
    cart: () => cart(any(state.variants)),
    async prepareRace(units) {
      state.races += 1;
      const drop = await product(`drop-${Date.now()}-${state.races}`, units);
      return { item: drop.item, variant: drop.variant, cart: () => cart(drop.variant) };
    },
    complete,
    async read() {
      const query = `fields=${PRODUCT_FIELDS}&region_id=${state.region}`;
      const { product: found } = await store('GET', `/products/${any(state.products)}?${query}`);
      if (!found?.variants?.length) throw new Error('no such product');
    },
    /** Units of the drop that are reserved for orders. */
    async soldUnits({ item }) {
      const reserved = `SELECT coalesce(sum(quantity), 0) FROM reservation_item
        WHERE inventory_item_id = '${item}' AND deleted_at IS NULL`;
      return Number(await sql(reserved));
    },
    /** Orders in the database. */
    orders: async () => Number(await sql('SELECT count(*) FROM "order"')),
    close: () => client.close(),
  };
}
