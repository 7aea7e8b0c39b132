// What is asked of Vendure, in GraphQL.

const RESULT = '__typename ... on ErrorResult { errorCode message }';

// The buyer's requests -----------------------------------------------------------------------

export const ADD = `mutation($variant: ID!) {
  addItemToOrder(productVariantId: $variant, quantity: 1) {
    __typename
    ... on Order { id code totalWithTax }
    ... on ErrorResult { errorCode message }
  }
}`;

/** A guest's address form is one request, as with the other shops. */
export const ADDRESS = `mutation(
  $customer: CreateCustomerInput!, $address: CreateAddressInput!, $methods: [ID!]!
) {
  customer: setCustomerForOrder(input: $customer) { ${RESULT} }
  address: setOrderShippingAddress(input: $address) { ${RESULT} }
  shipping: setOrderShippingMethod(shippingMethodId: $methods) { ${RESULT} }
}`;

/** Mutations of one request run one after the other. */
export const COMPLETE = `mutation($payment: PaymentInput!) {
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

export const PRODUCT = `query($slug: String!) {
  product(slug: $slug) {
    id name slug description
    optionGroups { id name }
    variants { id sku name priceWithTax currencyCode stockLevel options { id name } }
  }
}`;

// The staff's --------------------------------------------------------------------------------

export const LOGIN = `mutation($password: String!) {
  login(username: "superadmin", password: $password) { __typename }
}`;

export const COUNTRY = `mutation {
  createCountry(input: {
    code: "GB", enabled: true, translations: [{ languageCode: en, name: "United Kingdom" }]
  }) { id }
}`;

export const ZONE = `mutation($ids: [ID!]) {
  createZone(input: { name: "UK", memberIds: $ids }) { id }
}`;

export const TAX_CATEGORY = `mutation {
  createTaxCategory(input: { name: "Standard", isDefault: true }) { id }
}`;

export const TAX_RATE = `mutation($zone: ID!, $category: ID!) {
  createTaxRate(input: {
    name: "None", enabled: true, value: 0, categoryId: $category, zoneId: $zone
  }) { id }
}`;

export const CHANNEL = `mutation($input: UpdateChannelInput!) {
  updateChannel(input: $input) { __typename ... on ErrorResult { message } }
}`;

export const SHIPPING_METHOD = `mutation($input: CreateShippingMethodInput!) {
  createShippingMethod(input: $input) { id }
}`;

export const PAYMENT_METHOD = `mutation($input: CreatePaymentMethodInput!) {
  createPaymentMethod(input: $input) { id }
}`;

export const NEW_PRODUCT = `mutation($input: CreateProductInput!) {
  createProduct(input: $input) { id }
}`;

export const NEW_VARIANTS = `mutation($input: [CreateProductVariantInput!]!) {
  createProductVariants(input: $input) { id }
}`;
