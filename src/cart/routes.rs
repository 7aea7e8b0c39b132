//! Carts over HTTP. The cart hangs on who asks, so no route takes its id.

use super::body::CartBody;
use super::change::{Addition, Change, Details};
use super::decide::Command;
use super::desk::Carts;
use crate::catalog::Name;
use crate::contact::{Address, Email, is_email};
use crate::error::{FieldError, Problem, Violations};
use crate::id::{ItemId, VariantId};
use crate::idempotency::{Claim, Reply};
use crate::inventory::QUANTITY_MAX;
use crate::json::{Field, Json};
use crate::money::{Currency, Money};
use crate::pricing::Terms;
use crate::session::routes::Shopper;
use crate::version::{IfMatch, etag};
use actix_web::http::header::{ETAG, TryIntoHeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Additions of one request, at most.
const ADDITIONS_MAX: usize = 2_000;

/// What to add: one item, or a list of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"sku": "MUG-1", "quantity": 2}))]
pub struct AddItems {
    /// 1 to 2,000 items, all of which are added or none.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 2_000)]
    items: Option<Vec<NewItem>>,
    /// Instead of a list: what, by SKU …
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    sku: Option<String>,
    /// … or by id.
    #[serde(default)]
    #[schema(value_type = Option<VariantId>)]
    variant_id: Option<String>,
    /// Units, 1 to 1,000,000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
}

/// An item to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCartItem, example = json!({"sku": "MUG-1", "quantity": 2}))]
pub struct NewItem {
    /// What, by SKU …
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    sku: Option<String>,
    /// … or by id.
    #[serde(default)]
    #[schema(value_type = Option<VariantId>)]
    variant_id: Option<String>,
    /// Units, 1 to 1,000,000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
}

/// How many there shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quantity": 3}))]
pub struct UpdateItem {
    /// Units, 1 to 1,000,000; 0 takes the line out.
    #[schema(minimum = 0, maximum = 1_000_000)]
    quantity: i64,
}

/// What to change beside the lines; `null` clears.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "ada@example.com",
    "shipping_address": {"name": "Ada Lovelace", "line1": "12 St James's Square",
        "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"},
    "shipping_option": "standard",
}))]
pub struct UpdateCart {
    /// Who buys.
    #[serde(default)]
    #[schema(value_type = Option<Email>)]
    email: Field<String>,
    /// Where it goes.
    #[serde(default)]
    #[schema(value_type = Option<Address>)]
    shipping_address: Field<Address>,
    /// `standard` is the only one so far.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^standard$")]
    shipping_option: Field<String>,
    /// What it is priced in; without one, the shop's currency if all lines are sold in it.
    #[serde(default)]
    #[schema(value_type = Option<Currency>)]
    currency: Field<Currency>,
}

/// The ways to send the cart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"items": [
    {"id": "standard", "title": "Standard", "price": {"amount": 399, "currency": "GBP"}},
]}))]
pub struct ShippingOptions {
    items: Vec<ShippingOption>,
}

/// A way to send the cart.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShippingOption {
    /// What to set as `shipping_option`.
    #[schema(example = "standard")]
    id: &'static str,
    /// For people.
    #[schema(example = "Standard")]
    title: &'static str,
    /// In the cart's currency.
    price: Money,
}

impl AddItems {
    /// The items with the place where each stands, if the request is whole.
    fn items(self) -> Result<Vec<(String, NewItem)>, Problem> {
        let Self { items, sku, variant_id, quantity } = self;
        let one = sku.is_some() || variant_id.is_some() || quantity.is_some();
        let items: Vec<(String, NewItem)> = match (items, quantity) {
            (Some(items), None) if !one => {
                let at = |(index, item)| (format!("/items/{index}"), item);
                items.into_iter().enumerate().map(at).collect()
            }
            (Some(_), _) => {
                return Err(Problem::invalid(
                    "/items",
                    "give either a list of items or one item",
                ));
            }
            (None, Some(quantity)) => {
                vec![(String::new(), NewItem { sku, variant_id, quantity })]
            }
            (None, None) => return Err(Problem::invalid("/quantity", "is required")),
        };
        let mut violations = Violations::default();
        let is_allowed = (1..=ADDITIONS_MAX).contains(&items.len());
        violations.require(is_allowed, "/items", "must have 1 to 2,000 items");
        for (at, item) in &items {
            let has_one = item.sku.is_some() != item.variant_id.is_some();
            violations.require(has_one, format!("{at}/sku"), "give either sku or variant_id");
            let is_allowed = (1..=QUANTITY_MAX).contains(&item.quantity);
            let detail = "must be from 1 to 1,000,000";
            violations.require(is_allowed, format!("{at}/quantity"), detail);
        }
        violations.finish()?;
        Ok(items)
    }
}

impl NewItem {
    /// What names it, if that can be a name at all.
    fn name(&self) -> Option<Name> {
        match (&self.sku, &self.variant_id) {
            (Some(sku), _) => Some(Name::Sku(sku.clone())),
            (None, Some(id)) => id.parse().ok().map(Name::Id),
            (None, None) => None,
        }
    }
}

impl UpdateCart {
    fn details(self) -> Result<Details, Problem> {
        let Self { email, shipping_address, shipping_option, currency } = self;
        let (email, currency) = (email.optional(), currency.optional());
        let shipping_address = shipping_address.optional();
        let shipping_option = shipping_option.optional();
        let mut violations = Violations::default();
        if let Some(Some(email)) = &email {
            violations.require(is_email(email), "/email", "must be an e-mail address");
        }
        if let Some(Some(address)) = &shipping_address {
            address.check("/shipping_address", &mut violations);
        }
        if let Some(Some(option)) = &shipping_option {
            violations.require(option == "standard", "/shipping_option", "must be standard");
        }
        violations.finish()?;
        Ok(Details { email, shipping_address, shipping_option, currency })
    }
}

/// The cart with its version as `ETag`, also if the answer is a saved one.
fn shown(reply: Reply) -> Result<HttpResponse, Problem> {
    #[derive(Deserialize)]
    struct Versioned {
        version: i64,
    }
    let Versioned { version } = serde_json::from_slice(&reply.body).map_err(Problem::internal)?;
    let mut response = HttpResponse::from(reply);
    let tag = etag(version).try_into_value();
    response.headers_mut().insert(ETAG, tag.map_err(Problem::internal)?);
    Ok(response)
}

fn command(shopper: &Shopper, if_match: IfMatch, change: Change) -> Command {
    Command { id: Uuid::now_v7(), shopper: shopper.id, claim: None, if_match, change }
}

/// The line in the path; a malformed id is no line of anybody.
fn item(path: &str) -> Result<ItemId, Problem> {
    path.parse().map_err(|_| Problem::not_found("item"))
}

/// My cart, with today's prices.
#[utoipa::path(
    get, path = "/v1/cart", tag = "cart", security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The cart", body = CartBody<'static>,
        headers(("ETag" = String)))),
)]
pub async fn get_cart(
    shopper: Shopper,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    shown(carts.show(shopper.id).await?)
}

/// Change e-mail, address, shipping option or currency (JSON Merge Patch).
#[utoipa::path(
    patch, path = "/v1/cart", tag = "cart", request_body = UpdateCart,
    params(("If-Match" = Option<String>, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The cart", body = CartBody<'static>,
        headers(("ETag" = String)))),
)]
pub async fn update_cart(
    shopper: Shopper,
    if_match: IfMatch,
    body: Json<UpdateCart>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let change = Change::Describe(Box::new(body.value.details()?));
    shown(carts.change(command(&shopper, if_match, change)).await?)
}

/// Add items, all or none; more of a variant that lies in the cart joins its line.
///
/// How many there are in stock is not looked at.
#[utoipa::path(
    post, path = "/v1/cart/items", tag = "cart", request_body = AddItems,
    params(("Idempotency-Key" = Option<String>, Header), ("If-Match" = Option<String>, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The cart", body = CartBody<'static>,
        headers(("ETag" = String), ("Idempotent-Replayed" = String)))),
)]
pub async fn add_cart_items(
    shopper: Shopper,
    if_match: IfMatch,
    request: HttpRequest,
    body: Json<AddItems>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, &shopper.scope, &body.hash)?;
    let items = body.value.items()?;
    let names = items.iter().filter_map(|(_, item)| item.name()).collect();
    let offers = carts.offers(names).await?;
    let addition = |(at, item): (String, NewItem)| Addition {
        id: ItemId::new(),
        variant: item.name().and_then(|name| offers.get(&name)).map(|offer| offer.variant),
        quantity: item.quantity,
        at,
        named_by: if item.sku.is_some() { "sku" } else { "variant_id" },
    };
    let change = Change::Add(items.into_iter().map(addition).collect());
    let command = Command { claim, ..command(&shopper, if_match, change) };
    shown(carts.change(command).await?)
}

/// Set the quantity of a line; 0 takes it out.
#[utoipa::path(
    patch, path = "/v1/cart/items/{id}", tag = "cart", request_body = UpdateItem,
    params(("id" = ItemId, Path), ("If-Match" = Option<String>, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The cart", body = CartBody<'static>,
        headers(("ETag" = String)))),
)]
pub async fn update_cart_item(
    shopper: Shopper,
    if_match: IfMatch,
    path: web::Path<String>,
    body: Json<UpdateItem>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let (item, quantity) = (item(&path)?, body.value.quantity);
    if !(0..=QUANTITY_MAX).contains(&quantity) {
        let wrong = FieldError::new("/quantity", "must be from 0 to 1,000,000");
        return Err(Problem::validation(vec![wrong]));
    }
    let change = Change::Set { item, quantity };
    shown(carts.change(command(&shopper, if_match, change)).await?)
}

/// Take a line out.
#[utoipa::path(
    delete, path = "/v1/cart/items/{id}", tag = "cart",
    params(("id" = ItemId, Path), ("If-Match" = Option<String>, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The cart", body = CartBody<'static>,
        headers(("ETag" = String)))),
)]
pub async fn remove_cart_item(
    shopper: Shopper,
    if_match: IfMatch,
    path: web::Path<String>,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let change = Change::Set { item: item(&path)?, quantity: 0 };
    shown(carts.change(command(&shopper, if_match, change)).await?)
}

/// How the cart can be sent.
#[utoipa::path(
    get, path = "/v1/cart/shipping-options", tag = "cart",
    security(("session" = []), ("session_cookie" = [])),
    responses((status = 200, description = "The options", body = ShippingOptions)),
)]
pub async fn list_shipping_options(
    shopper: Shopper,
    carts: web::Data<Carts>,
) -> Result<HttpResponse, Problem> {
    let cart = carts.read(shopper.id).await?;
    let shop = carts.shop(&cart).await?;
    let Terms { shipping, .. } = shop.terms;
    let price = Money::new(shipping, cart.currency(&shop));
    let standard = ShippingOption { id: "standard", title: "Standard", price };
    Ok(HttpResponse::Ok().json(ShippingOptions { items: vec![standard] }))
}
