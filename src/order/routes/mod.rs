//! The orders' operations over HTTP.

pub mod admin;

use super::actor::{Orders, Wanted};
use super::body::OrderBody;
use super::checkout::Checkout;
use super::command::{Known, NewPayment};
use super::order::Order;
use super::pricing::{Draft, DraftItem};
use super::store;
use crate::auth::OrderAccess;
use crate::contact::{Address, Email, TEXT_MAX, is_email};
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{OrderId, PaymentId, ShopperId};
use crate::idempotency::{ANONYMOUS, Claim};
use crate::inventory::QUANTITY_MAX;
use crate::json::{Json, JsonOrEmpty};
use crate::money::{Currency, Money};
use crate::page::{List, PageQuery};
use crate::payment::Providers;
use crate::postgres::{Postgres, reader};
use crate::session::routes::{MaybeShopper, Shopper};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use deadpool_postgres::Object;
use serde::Deserialize;
use utoipa::ToSchema;

/// Lines of one order, at most.
const ITEMS_MAX: usize = 2_000;

/// An order that a client wants to place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// 1 to 2,000 lines.
    #[schema(min_items = 1, max_items = 2_000)]
    items: Vec<NewItem>,
    /// Who orders.
    #[schema(value_type = Email)]
    email: String,
    /// Where it goes.
    shipping_address: Address,
    /// How it is paid.
    payment: PaymentChoice,
    /// If given, the order is refused with `price_changed` unless its total is this.
    #[serde(default)]
    expected_total: Option<ExpectedTotal>,
    /// `standard` is the only one so far.
    #[serde(default)]
    #[schema(example = "standard", pattern = "^standard$")]
    shipping_option: Option<String>,
    /// There are no discounts yet.
    #[serde(default)]
    discount_codes: Vec<String>,
}

/// A line that a client wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// What.
    #[schema(example = "MUG-1", min_length = 1, max_length = 100)]
    sku: String,
    /// Units, 1 to 1,000,000.
    #[schema(minimum = 1, maximum = 1_000_000, example = 1)]
    quantity: i64,
}

/// How an order is paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentChoice {
    /// `manual` (on invoice), or `test` where it is allowed.
    #[schema(example = "manual")]
    provider: String,
    /// What the provider needs: for `test` one of `ok`, `decline`, `delay_2s`, `timeout`.
    #[serde(default)]
    token: Option<String>,
}

/// The total that the client expects.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedTotal {
    /// Minor units.
    #[schema(example = 1299)]
    amount: i64,
    /// ISO 4217; the order is priced in it.
    currency: Currency,
}

impl From<ExpectedTotal> for Money {
    fn from(total: ExpectedTotal) -> Self {
        Money::new(total.amount, total.currency)
    }
}

/// How a cart is checked out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutCart {
    /// How it is paid.
    payment: PaymentChoice,
    /// If given, the checkout is refused with `price_changed` unless its total is this.
    #[serde(default)]
    expected_total: Option<ExpectedTotal>,
}

/// Why an order is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "ordered twice"}))]
pub struct CancelOrder {
    /// For the shop.
    #[serde(default)]
    #[schema(example = "ordered twice", max_length = 200)]
    reason: Option<String>,
}

impl PlaceOrder {
    fn check(&self) -> Result<(), Problem> {
        let mut violations = Violations::default();
        let count = self.items.len();
        let is_filled = (1..=ITEMS_MAX).contains(&count);
        violations.require(is_filled, "/items", "must have 1 to 2,000 items");
        for (index, item) in self.items.iter().enumerate() {
            let is_allowed = (1..=QUANTITY_MAX).contains(&item.quantity);
            let pointer = || format!("/items/{index}/quantity");
            violations.require(is_allowed, pointer(), "must be from 1 to 1,000,000");
        }
        violations.require(is_email(&self.email), "/email", "must be an e-mail address");
        self.shipping_address.check("/shipping_address", &mut violations);
        let is_standard = self.shipping_option.as_deref().is_none_or(|name| name == "standard");
        violations.require(is_standard, "/shipping_option", "must be standard");
        violations.finish()?;
        match self.discount_codes.len() {
            0 => Ok(()),
            _ => Err(Problem::of_fields(
                Code::DiscountNotApplicable,
                vec![FieldError::new("/discount_codes/0", "there is no such discount")],
            )),
        }
    }

    fn draft(self, shopper: Option<ShopperId>) -> Draft {
        let items = self.items.into_iter().enumerate().map(|(index, item)| DraftItem {
            sku: item.sku,
            variant: None,
            quantity: item.quantity,
            index,
        });
        let expected_total = self.expected_total.map(Money::from);
        Draft {
            shopper,
            cart_version: None,
            items: Draft::merge(items.collect()),
            email: self.email,
            shipping_address: self.shipping_address,
            currency: expected_total.map(|total| total.currency),
            expected_total,
        }
    }
}

impl PaymentChoice {
    /// The payment, if its provider is known; `at` is where the choice stands in the body.
    fn payment(&self, providers: &Providers, at: &str) -> Result<NewPayment, Problem> {
        let wrong = |field: &str, detail: String| {
            Problem::validation(vec![FieldError::new(format!("{at}/{field}"), detail)])
        };
        let provider = providers
            .get(&self.provider)
            .ok_or_else(|| wrong("provider", format!("must be one of {}", providers.names())))?;
        provider
            .check_token(self.token.as_deref())
            .map_err(|detail| wrong("token", detail.to_owned()))?;
        Ok(NewPayment {
            id: PaymentId::new(),
            provider: provider.name(),
            token: self.token.clone(),
            terms: provider.terms(),
        })
    }
}

/// Place an order at once, without a session.
///
/// All lines or none. The key is looked up before anything else is judged; a refusal saves
/// nothing. With `test`, the answer comes after the provider's.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders", request_body = PlaceOrder,
    params(("Idempotency-Key" = String, Header)),
    security((), ("session" = []), ("session_cookie" = [])),
    responses(
        (status = 201, description = "The order", body = OrderBody<'static>,
            headers(("Location" = String), ("Idempotent-Replayed" = String))),
    ),
)]
pub async fn place_order(
    request: HttpRequest,
    shopper: MaybeShopper,
    body: Json<PlaceOrder>,
    orders: web::Data<Orders>,
    providers: web::Data<Providers>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::required(&request, scope(&shopper), &body.hash)?;
    body.value.check()?;
    let payment = body.value.payment.payment(&providers, "/payment")?;
    let shopper = shopper.0.map(|shopper| shopper.id);
    let draft = Box::new(body.value.draft(shopper));
    Ok(orders.place(claim, Wanted::Items(draft), payment).await?.into())
}

/// Order what is in the cart.
///
/// The cart is emptied in the order's transaction: two checkouts of one cart make one order.
/// `checkout_incomplete` names everything that is missing.
#[utoipa::path(
    post, path = "/v1/cart/checkout", tag = "cart", request_body = CheckoutCart,
    params(("Idempotency-Key" = String, Header)),
    security(("session" = []), ("session_cookie" = [])),
    responses(
        (status = 201, description = "The order", body = OrderBody<'static>,
            headers(("Location" = String), ("Idempotent-Replayed" = String))),
    ),
)]
pub async fn checkout_cart(
    request: HttpRequest,
    shopper: Shopper,
    body: Json<CheckoutCart>,
    orders: web::Data<Orders>,
    providers: web::Data<Providers>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::required(&request, &shopper.scope, &body.hash)?;
    let payment = body.value.payment.payment(&providers, "/payment")?;
    let expected_total = body.value.expected_total.map(Money::from);
    let checkout = Checkout { shopper: shopper.id, expected_total };
    Ok(orders.place(claim, Wanted::Cart(checkout), payment).await?.into())
}

/// My orders, newest first: those of the customer, or of the guest's session.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders", params(PageQuery),
    security(("session" = []), ("session_cookie" = [])),
    responses(
        (status = 200, description = "A page of orders", body = List<OrderBody<'static>>),
    ),
)]
pub async fn list_session_orders(
    shopper: Shopper,
    query: web::Query<PageQuery>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let page = query.page()?;
    let (orders, next) = store::list_of_shopper(&postgres.readers, shopper.id, page).await?;
    Ok(shown_page(&orders, next))
}

/// One order, for the shopper that placed it and whoever holds its secret.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = OrderId, Path)),
    security(("order_token" = []), ("session" = []), ("session_cookie" = []), ()),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn get_order(
    access: OrderAccess,
    shopper: MaybeShopper,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let order = found(reader(&postgres.readers).await?, &access, &shopper).await?;
    Ok(shown(&order.body()))
}

/// Pay an order that waits for its payment, or that was placed on invoice.
#[utoipa::path(
    post, path = "/v1/orders/{id}/payments", tag = "orders", request_body = PaymentChoice,
    params(("id" = OrderId, Path), ("Idempotency-Key" = Option<String>, Header)),
    security(("order_token" = []), ("session" = []), ("session_cookie" = []), ()),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn pay_order(
    access: OrderAccess,
    shopper: MaybeShopper,
    request: HttpRequest,
    body: Json<PaymentChoice>,
    orders: web::Data<Orders>,
    providers: web::Data<Providers>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, scope(&shopper), &body.hash)?;
    let payment = body.value.payment(&providers, "")?;
    let order = Known::from(found(postgres.readers.get().await?, &access, &shopper).await?);
    Ok(orders.pay(claim, order, payment).await?.into())
}

/// Cancel an order that is not paid; its stock is free again.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", tag = "orders", request_body = CancelOrder,
    params(("id" = OrderId, Path), ("Idempotency-Key" = Option<String>, Header)),
    security(("order_token" = []), ("session" = []), ("session_cookie" = []), ()),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn cancel_order(
    access: OrderAccess,
    shopper: MaybeShopper,
    request: HttpRequest,
    body: JsonOrEmpty<CancelOrder>,
    orders: web::Data<Orders>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, scope(&shopper), &body.hash)?;
    let reason = body.value.reason;
    let mut violations = Violations::default();
    let is_short = reason.as_ref().is_none_or(|reason| reason.chars().count() <= TEXT_MAX);
    violations.require(is_short, "/reason", "must have at most 200 characters");
    violations.finish()?;
    let order = Known::from(found(postgres.readers.get().await?, &access, &shopper).await?);
    Ok(orders.cancel(claim, order, reason).await?.into())
}

fn shown_page(orders: &[Order], next: Option<OrderId>) -> HttpResponse {
    let items: Vec<OrderBody<'_>> = orders.iter().map(Order::body).collect();
    shown(&List { items, next_cursor: next.map(|id| id.uuid().simple().to_string()) })
}

/// The order, for whoever holds its secret and for the shopper that placed it. To everybody else
/// it looks unknown.
async fn found(
    reader: Object,
    access: &OrderAccess,
    shopper: &MaybeShopper,
) -> Result<Order, Problem> {
    let order = match (access.is_opened, &shopper.0) {
        (true, _) => store::find(reader, access.order).await?,
        (false, Some(Shopper { id, .. })) => {
            store::find_of_shopper(reader, access.order, *id).await?
        }
        (false, None) => None,
    };
    order.ok_or_else(|| Problem::not_found("order"))
}

/// Whose keys these are.
fn scope(shopper: &MaybeShopper) -> &str {
    shopper.0.as_ref().map_or(ANONYMOUS, |shopper| &shopper.scope)
}

fn shown(body: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
