// Vendure: how its shop is filled, bought from and asked.
import { Client, PLENTY, any, nextBuyer } from './client.mjs';
import * as query from './vendure-queries.mjs';

const SHOP = '/shop-api';
const ADMIN = '/admin-api';

const argument = (name, value) => ({ name, value });
const english = (text) => [{ languageCode: 'en', ...text }];

function accepted(step, result) {
  if (result?.__typename !== 'Order') throw new Error(`${step}: ${JSON.stringify(result)}`);
}

export class Vendure {
  constructor({ url, sql, password, products }) {
    this.client = new Client(url);
    this.sql = sql;
    this.password = password;
    this.count = products;
    this.variants = [];
    this.slugs = [];
  }

  async graphql(path, token, text, variables) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await this.client.ask('POST', path, headers, { query: text, variables });
    if (answer.body.errors) throw new Error(JSON.stringify(answer.body.errors).slice(0, 400));
    return { data: answer.body.data, token: answer.headers['vendure-auth-token'] ?? token };
  }

  async admin(text, variables) {
    return (await this.graphql(ADMIN, this.token, text, variables)).data;
  }

  alive() {
    return this.graphql(SHOP, '', '{ activeChannel { id } }');
  }

  /** Fills a fresh shop. */
  async prepare() {
    const variables = { password: this.password };
    const { data, token } = await this.graphql(ADMIN, '', query.LOGIN, variables);
    if (data.login.__typename !== 'CurrentUser') throw new Error('the admin cannot log in');
    this.token = token;
    await this.zoneAndTax();
    await this.shipping();
    await this.payment();
    for (let n = 1; n <= this.count; n += 1) {
      const { variant, slug } = await this.product(`mug-${n}`, PLENTY);
      this.variants.push(variant);
      this.slugs.push(slug);
    }
  }

  async zoneAndTax() {
    const country = await this.admin(query.COUNTRY);
    const zone = await this.admin(query.ZONE, { ids: [country.createCountry.id] });
    const tax = await this.admin(query.TAX_CATEGORY);
    this.taxCategory = tax.createTaxCategory.id;
    const zoneId = zone.createZone.id;
    await this.admin(query.TAX_RATE, { zone: zoneId, category: this.taxCategory });
    const { activeChannel } = await this.admin('{ activeChannel { id } }');
    const input = {
      id: activeChannel.id,
      defaultTaxZoneId: zoneId,
      defaultShippingZoneId: zoneId,
      pricesIncludeTax: true,
      availableCurrencyCodes: ['GBP'],
      defaultCurrencyCode: 'GBP',
    };
    await this.admin(query.CHANNEL, { input });
  }

  async shipping() {
    const rate = [
      argument('rate', '0'),
      argument('includesTax', 'auto'),
      argument('taxRate', '0'),
    ];
    const input = {
      code: 'standard',
      fulfillmentHandler: 'manual-fulfillment',
      checker: {
        code: 'default-shipping-eligibility-checker',
        arguments: [argument('orderMinimum', '0')],
      },
      calculator: { code: 'default-shipping-calculator', arguments: rate },
      translations: english({ name: 'Standard', description: '' }),
    };
    const made = await this.admin(query.SHIPPING_METHOD, { input });
    this.methods = [made.createShippingMethod.id];
  }

  /** Authorised, not settled: with the other shops, too, the money is collected later. */
  async payment() {
    const input = {
      code: 'dummy',
      enabled: true,
      handler: {
        code: 'dummy-payment-handler',
        arguments: [argument('automaticSettle', 'false')],
      },
      translations: english({ name: 'Dummy', description: '' }),
    };
    await this.admin(query.PAYMENT_METHOD, { input });
  }

  async product(name, units) {
    const translations = english({ name, slug: name, description: `A ${name} to buy.` });
    const created = await this.admin(query.NEW_PRODUCT, { input: { enabled: true, translations } });
    const variant = {
      productId: created.createProduct.id,
      sku: name,
      price: 1299,
      stockOnHand: units,
      trackInventory: 'TRUE',
      taxCategoryId: this.taxCategory,
      translations: english({ name }),
    };
    const made = await this.admin(query.NEW_VARIANTS, { input: [variant] });
    return { variant: made.createProductVariants[0].id, slug: name };
  }

  async cart(variant = any(this.variants)) {
    const number = nextBuyer();
    const first = await this.graphql(SHOP, '', query.ADD, { variant });
    accepted('add', first.data.addItemToOrder);
    const customer = {
      firstName: 'Ada',
      lastName: 'Buyer',
      emailAddress: `buyer-${number}@example.com`,
    };
    const address = {
      fullName: 'Ada Buyer',
      streetLine1: '1 High Street',
      city: 'Leeds',
      postalCode: 'LS1 1AA',
      countryCode: 'GB',
    };
    const variables = { customer, address, methods: this.methods };
    const { data } = await this.graphql(SHOP, first.token, query.ADDRESS, variables);
    accepted('customer', data.customer);
    accepted('address', data.address);
    accepted('shipping', data.shipping);
    return { token: first.token };
  }

  async complete({ token }) {
    const payment = { method: 'dummy', metadata: {} };
    const { data } = await this.graphql(SHOP, token, query.COMPLETE, { payment });
    if (data.paid?.__typename === 'Order' && data.paid.state === 'PaymentAuthorized') {
      return { outcome: 'sold' };
    }
    const why = data.arranging?.transitionError ?? data.paid?.message ?? JSON.stringify(data);
    if (/stock/i.test(why)) return { outcome: 'refused', why };
    throw new Error(`checkout: ${why}`);
  }

  async prepareRace(units) {
    const { variant } = await this.product(`drop-${nextBuyer()}`, units);
    return { variant, cart: () => this.cart(variant) };
  }

  async read() {
    const { data } = await this.graphql(SHOP, '', query.PRODUCT, { slug: any(this.slugs) });
    if (!data.product?.variants?.length) throw new Error('no such product');
  }

  /** Units of the drop in orders whose payment went through. */
  async soldUnits({ variant }) {
    const lines = `SELECT coalesce(sum(l.quantity), 0) FROM order_line l
      JOIN "order" o ON o.id = l."orderId"
      WHERE l."productVariantId" = ${Number(variant)}
        AND o.state IN ('PaymentAuthorized', 'PaymentSettled')`;
    return Number(await this.sql(lines));
  }

  /** Orders in the database. */
  async orders() {
    const placed = 'SELECT count(*) FROM "order" WHERE "orderPlacedAt" IS NOT NULL';
    return Number(await this.sql(placed));
  }

  close() {
    this.client.close();
  }
}
