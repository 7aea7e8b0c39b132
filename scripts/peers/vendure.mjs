// Vendure: how its shop is filled, bought from and asked.
import { Client, nextBuyer } from './client.mjs';

const SHOP = '/shop-api';
const ADMIN = '/admin-api';
const PLENTY = 1_000_000;

const ADD = `mutation($variant: ID!) {
  addItemToOrder(productVariantId: $variant, quantity: 1) {
    __typename
    ... on Order { id code totalWithTax }
    ... on ErrorResult { errorCode message }
  }
}`;

// A guest's address form is one request, as with the other shops.
const ADDRESS = `mutation(
  $customer: CreateCustomerInput!, $address: CreateAddressInput!, $methods: [ID!]!
) {
  customer: setCustomerForOrder(input: $customer) {
    __typename
    ... on ErrorResult { errorCode message }
  }
  address: setOrderShippingAddress(input: $address) {
    __typename
    ... on ErrorResult { errorCode message }
  }
  shipping: setOrderShippingMethod(shippingMethodId: $methods) {
    __typename
    ... on ErrorResult { errorCode message }
  }
}`;

// Mutations of one request run one after the other.
const COMPLETE = `mutation($payment: PaymentInput!) {
  arranging: transitionOrderToState(state: "ArrangingPayment") {
    __typename
    ... on OrderStateTransitionError { errorCode message transitionError }
  }
  paid: addPaymentToOrder(input: $payment) {
    __typename
    ... on Order { id code state totalWithTax }
    ... on ErrorResult { errorCode message }
  }
}`;

const PRODUCT = `query($slug: String!) {
  product(slug: $slug) {
    id name slug description
    optionGroups { id name }
    variants { id sku name priceWithTax currencyCode stockLevel options { id name } }
  }
}`;

export function vendure({ url, sql, password, products }) {
  const client = new Client(url);
  const state = { variants: [], slugs: [], methods: [], admin: '', races: 0 };

  async function graphql(path, token, query, variables) {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const answer = await client.ask('POST', path, headers, { query, variables });
    if (answer.body.errors) throw new Error(JSON.stringify(answer.body.errors).slice(0, 400));
    return { data: answer.body.data, token: answer.headers['vendure-auth-token'] ?? token };
  }
  const admin = async (query, variables) =>
    (await graphql(ADMIN, state.admin, query, variables)).data;

  async function login() {
    const query = `mutation($password: String!) {
      login(username: "superadmin", password: $password) { __typename }
    }`;
    const { data, token } = await graphql(ADMIN, '', query, { password });
    if (data.login.__typename !== 'CurrentUser') throw new Error('the admin cannot log in');
    state.admin = token;
  }

  async function product(name, units) {
    const text = [{ languageCode: 'en', name, slug: name, description: `A ${name} to buy.` }];
    const created = await admin(
      `mutation($input: CreateProductInput!) { createProduct(input: $input) { id } }`,
      { input: { enabled: true, translations: text } },
    );
    const variant = {
      productId: created.createProduct.id,
      sku: name,
      price: 1299,
      stockOnHand: units,
      trackInventory: 'TRUE',
      taxCategoryId: state.taxCategory,
      translations: [{ languageCode: 'en', name }],
    };
    const made = await admin(
      `mutation($input: [CreateProductVariantInput!]!) {
        createProductVariants(input: $input) { id }
      }`,
      { input: [variant] },
    );
    return { variant: made.createProductVariants[0].id, slug: name };
  }

  async function zoneAndTax() {
    await admin(`mutation { createCountry(input: {
      code: "GB", enabled: true, translations: [{ languageCode: en, name: "United Kingdom" }]
    }) { id } }`);
    const { countries } = await admin('{ countries { items { id } } }');
    const ids = countries.items.map((country) => country.id);
    const zone = await admin(
      `mutation($ids: [ID!]) { createZone(input: { name: "UK", memberIds: $ids }) { id } }`,
      { ids },
    );
    const tax = await admin(
      `mutation { createTaxCategory(input: { name: "Standard", isDefault: true }) { id } }`,
    );
    state.taxCategory = tax.createTaxCategory.id;
    await admin(
      `mutation($zone: ID!, $category: ID!) { createTaxRate(input: {
        name: "None", enabled: true, value: 0, categoryId: $category, zoneId: $zone
      }) { id } }`,
      { zone: zone.createZone.id, category: state.taxCategory },
    );
    const { activeChannel } = await admin('{ activeChannel { id } }');
    await admin(
      `mutation($input: UpdateChannelInput!) {
        updateChannel(input: $input) { __typename ... on ErrorResult { message } }
      }`,
      {
        input: {
          id: activeChannel.id,
          defaultTaxZoneId: zone.createZone.id,
          defaultShippingZoneId: zone.createZone.id,
          pricesIncludeTax: true,
          availableCurrencyCodes: ['GBP'],
          defaultCurrencyCode: 'GBP',
        },
      },
    );
  }

  async function shippingAndPayment() {
    const argument = (name, value) => ({ name, value });
    const shipping = {
      code: 'standard',
      fulfillmentHandler: 'manual-fulfillment',
      checker: {
        code: 'default-shipping-eligibility-checker',
        arguments: [argument('orderMinimum', '0')],
      },
      calculator: {
        code: 'default-shipping-calculator',
        arguments: [
          argument('rate', '0'),
          argument('includesTax', 'auto'),
          argument('taxRate', '0'),
        ],
      },
      translations: [{ languageCode: 'en', name: 'Standard', description: '' }],
    };
    await admin(
      `mutation($input: CreateShippingMethodInput!) {
        createShippingMethod(input: $input) { id }
      }`,
      { input: shipping },
    );
    // Authorised, not settled: with the other shops the money is collected later, too.
    const payment = {
      code: 'dummy',
      enabled: true,
      handler: {
        code: 'dummy-payment-handler',
        arguments: [argument('automaticSettle', 'false')],
      },
      translations: [{ languageCode: 'en', name: 'Dummy', description: '' }],
    };
    await admin(
      `mutation($input: CreatePaymentMethodInput!) { createPaymentMethod(input: $input) { id } }`,
      { input: payment },
    );
  }

  /** What the shop has already is looked up; what it lacks is made. */
  async function prepare() {
    await login();
    const { taxCategories } = await admin('{ taxCategories { items { id } } }');
    if (taxCategories.items.length === 0) {
      await zoneAndTax();
      await shippingAndPayment();
      for (let n = 1; n <= products; n += 1) await product(`mug-${n}`, PLENTY);
    } else {
      state.taxCategory = taxCategories.items[0].id;
    }
    const { productVariants, shippingMethods } = await admin(`{
      productVariants(options: { take: 1000, filter: { sku: { contains: "mug-" } } }) {
        items { id sku }
      }
      shippingMethods { items { id } }
    }`);
    state.variants = productVariants.items.map((variant) => variant.id);
    state.slugs = productVariants.items.map((variant) => variant.sku);
    state.methods = [shippingMethods.items[0].id];
  }

  function accepted(step, result, wanted) {
    if (result?.__typename !== wanted) throw new Error(`${step}: ${JSON.stringify(result)}`);
  }

  async function cart(variant) {
    const buyer = nextBuyer();
    const first = await graphql(SHOP, '', ADD, { variant });
    accepted('add', first.data.addItemToOrder, 'Order');
    const customer = {
      firstName: 'Ada',
      lastName: 'Buyer',
      emailAddress: `buyer-${buyer}@example.com`,
    };
    const address = {
      fullName: 'Ada Buyer',
      streetLine1: '1 High Street',
      city: 'Leeds',
      postalCode: 'LS1 1AA',
      countryCode: 'GB',
    };
    const variables = { customer, address, methods: state.methods };
    const { data } = await graphql(SHOP, first.token, ADDRESS, variables);
    accepted('customer', data.customer, 'Order');
    accepted('address', data.address, 'Order');
    accepted('shipping', data.shipping, 'Order');
    return { token: first.token };
  }

  async function complete({ token }) {
    const payment = { method: 'dummy', metadata: {} };
    const { data } = await graphql(SHOP, token, COMPLETE, { payment });
    if (data.paid?.__typename === 'Order' && data.paid.state === 'PaymentAuthorized') {
      return { outcome: 'sold' };
    }
    const why = data.arranging?.transitionError ?? data.paid?.message ?? JSON.stringify(data);
    if (/stock/i.test(why)) return { outcome: 'refused', why };
    throw new Error(`checkout: ${why}`);
  }

  const any = (list) => list[Math.floor(Math.random() * list.length)];
  return {
    alive: () => graphql(SHOP, '', '{ activeChannel { id } }'),
    prepare,
    cart: () => cart(any(state.variants)),
    async prepareRace(units) {
      state.races += 1;
      const drop = await product(`drop-${Date.now()}-${state.races}`, units);
      return { variant: drop.variant, cart: () => cart(drop.variant) };
    },
    complete,
    async read() {
      const { data } = await graphql(SHOP, '', PRODUCT, { slug: any(state.slugs) });
      if (!data.product?.variants?.length) throw new Error('no such product');
    },
    /** Units of the drop in orders whose payment went through. */
    async soldUnits({ variant }) {
      const lines = `SELECT coalesce(sum(l.quantity), 0) FROM order_line l
        JOIN "order" o ON o.id = l."orderId"
        WHERE l."productVariantId" = ${Number(variant)}
          AND o.state IN ('PaymentAuthorized', 'PaymentSettled')`;
      return Number(await sql(lines));
    },
    /** Orders in the database. */
    orders: async () =>
      Number(await sql(`SELECT count(*) FROM "order" WHERE "orderPlacedAt" IS NOT NULL`)),
    close: () => client.close(),
  };
}
