//! The orders' operations over HTTP.

pub mod admin;

use super::actor::Orders;
use super::body::OrderBody;
use super::command::{Known, NewPayment};
use super::order::Order;
use super::pricing::{Draft, DraftItem};
use super::store;
use crate::auth::OrderAccess;
use crate::contact::{Address, TEXT_MAX, is_email};
use crate::error::{Code, FieldError, Problem, Violations};
use crate::id::{OrderId, PaymentId};
use crate::idempotency::{ANONYMOUS, Claim};
use crate::inventory::QUANTITY_MAX;
use crate::json::{Json, JsonOrEmpty};
use crate::money::{Currency, Money};
use crate::payment::Providers;
use crate::postgres::Postgres;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

/// Lines of one order, at most.
const ITEMS_MAX: usize = 2_000;

/// An order that a client wants to place.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// 1 to 2,000 lines.
    items: Vec<NewItem>,
    /// Who orders.
    #[schema(example = "ada@example.com")]
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
    #[schema(example = "MUG-1")]
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
    amount: i64,
    /// ISO 4217; the order is priced in it.
    currency: Currency,
}

/// Why an order is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    /// For the shop.
    #[serde(default)]
    #[schema(max_length = 200)]
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

    fn draft(self) -> Draft {
        let items = self.items.into_iter().enumerate().map(|(index, item)| DraftItem {
            sku: item.sku,
            quantity: item.quantity,
            index,
        });
        Draft {
            items: Draft::merge(items.collect()),
            email: self.email,
            shipping_address: self.shipping_address,
            expected_total: self
                .expected_total
                .map(|total| Money::new(total.amount, total.currency)),
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
    params(("Idempotency-Key" = String, Header, description = "1–255 visible ASCII characters")),
    responses(
        (status = 201, description = "The order", body = OrderBody<'static>,
            headers(("Location" = String), ("Idempotent-Replayed" = String))),
    ),
)]
pub async fn place_order(
    request: HttpRequest,
    body: Json<PlaceOrder>,
    orders: web::Data<Orders>,
    providers: web::Data<Providers>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::required(&request, ANONYMOUS, &body.hash)?;
    body.value.check()?;
    let payment = body.value.payment.payment(&providers, "/payment")?;
    let draft = body.value.draft();
    Ok(orders.place(claim, draft, payment).await?.into())
}

/// One order, for whoever holds its secret.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = OrderId, Path), ("X-Order-Token" = String, Header)),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn get_order(
    access: OrderAccess,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let order = found(&postgres, access.order).await?;
    Ok(shown(&order.body()))
}

/// Pay an order that waits for its payment, or that was placed on invoice.
#[utoipa::path(
    post, path = "/v1/orders/{id}/payments", tag = "orders", request_body = PaymentChoice,
    params(("id" = OrderId, Path), ("X-Order-Token" = String, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn pay_order(
    access: OrderAccess,
    request: HttpRequest,
    body: Json<PaymentChoice>,
    orders: web::Data<Orders>,
    providers: web::Data<Providers>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, ANONYMOUS, &body.hash)?;
    let payment = body.value.payment(&providers, "")?;
    let order = Known::from(found(&postgres, access.order).await?);
    Ok(orders.pay(claim, order, payment).await?.into())
}

/// Cancel an order that is not paid; its stock is free again.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancel", tag = "orders", request_body = CancelOrder,
    params(("id" = OrderId, Path), ("X-Order-Token" = String, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 200, description = "The order", body = OrderBody<'static>),
    ),
)]
pub async fn cancel_order(
    access: OrderAccess,
    request: HttpRequest,
    body: JsonOrEmpty<CancelOrder>,
    orders: web::Data<Orders>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let claim = Claim::of(&request, ANONYMOUS, &body.hash)?;
    let reason = body.value.reason;
    let mut violations = Violations::default();
    let is_short = reason.as_ref().is_none_or(|reason| reason.chars().count() <= TEXT_MAX);
    violations.require(is_short, "/reason", "must have at most 200 characters");
    violations.finish()?;
    let order = Known::from(found(&postgres, access.order).await?);
    Ok(orders.cancel(claim, order, reason).await?.into())
}

async fn found(postgres: &Postgres, id: OrderId) -> Result<Order, Problem> {
    let order = store::find(&postgres.readers, id).await?;
    order.ok_or_else(|| Problem::not_found("order"))
}

fn shown(body: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
